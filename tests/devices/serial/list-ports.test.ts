import { chmodSync, mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { listSerialPorts, type SystemView } from "../../../devices/serial/list-ports.ts";

/** A machine made of folders. */
let system: SystemView;
let forbidden: Set<string>;

function put(path: string, text = ""): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function link(path: string, target: string): string {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
  return path;
}

beforeEach(() => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "microturn-ports-")));
  forbidden = new Set();
  const folder = (name: string) => {
    mkdirSync(join(root, name));
    return join(root, name);
  };
  system = {
    dev: folder("dev"),
    sys: folder("sys"),
    proc: folder("proc"),
    etc: folder("etc"),
    isPermitted: async (path) => !forbidden.has(path),
  };
});

describe("the serial ports of a machine", () => {
  test("are those with something behind them, by the name that outlives replugging", async () => {
    for (const name of ["ttyUSB0", "ttyACM0", "ttyTHS1", "ttyS0", "ttyS1", "tty7", "ttyprintk", "null"]) {
      put(join(system.dev, name));
    }
    put(join(system.sys, "class/tty/ttyS0/type"), "4\n");
    put(join(system.sys, "class/tty/ttyS1/type"), "0\n");
    const byId = link(join(system.dev, "serial/by-id/usb-Arduino_Uno_1234-if00"), "../../ttyACM0");
    link(join(system.dev, "serial/by-path/pci-0000:00-usb-0:1"), "../../ttyACM0");
    const byPath = link(join(system.dev, "serial/by-path/pci-0000:00-usb-0:2"), "../../ttyUSB0");
    const found = await listSerialPorts(system);
    expect(found.map(({ path, name }) => [path, name])).toEqual([
      [byId, join(system.dev, "ttyACM0")],
      [join(system.dev, "ttyS0"), "no name that outlives replugging"],
      [join(system.dev, "ttyTHS1"), "no name that outlives replugging"],
      [byPath, join(system.dev, "ttyUSB0")],
    ]);
    expect(found.every(({ state }) => state === "ok")).toBe(true);
  });

  test("say which group may use them", async () => {
    const port = put(join(system.dev, "ttyUSB0"));
    chmodSync(port, 0o660);
    forbidden.add(port);
    // The test's own group stands for dialout; that of root is no group to join.
    const { gid } = await import("node:fs").then(({ statSync }) => statSync(port));
    put(join(system.etc, "group"), `root:x:0:\nother:x:4242:\ndialout:x:${gid}:\n`);
    const [found] = await listSerialPorts(system);
    expect(found).toMatchObject(
      gid === 0
        ? {
            state: "no permission",
            problem: "only root may use it",
            remedy: expect.stringContaining("deploy/udev/70-microturn.rules"),
          }
        : {
            state: "no permission",
            problem: expect.stringContaining("dialout"),
            remedy: expect.stringContaining("usermod -aG dialout"),
          },
    );
  });

  test("say who has them open, and no other process is blamed", async () => {
    const port = put(join(system.dev, "ttyACM0"));
    put(join(system.dev, "ttyACM1"));
    link(join(system.proc, "17/fd/3"), "/dev/null");
    link(join(system.proc, "42/fd/9"), port);
    put(join(system.proc, "42/comm"), "ModemManager\n");
    put(join(system.proc, "self/comm"), "x");
    const found = await listSerialPorts(system);
    expect(found[0]).toMatchObject({
      state: "busy",
      problem: "ModemManager (process 42) has it open",
      remedy: "kill 42",
    });
    expect(found[1]).toMatchObject({ state: "ok" });
  });

  test("of this machine can be listed", async () => {
    for (const { path } of await listSerialPorts()) expect(path).toMatch(/^\/dev\//);
  });

  test("are none where there are none", async () => {
    expect(await listSerialPorts(system)).toEqual([]);
  });
});
