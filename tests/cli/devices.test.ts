import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { DeviceLister } from "../../devices/listed-device.ts";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { deviceChecks, devices } from "../../src/cli/devices.ts";
import { main } from "../../src/cli/program.ts";
import { Attached, driveUntil, until } from "../devices/serial/attached.ts";
import { describeWithSocat } from "../devices/serial/socat.ts";
import { CapturedIo } from "./io.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const listers: DeviceLister[] = [
  { kind: "camera", list: async () => [] },
  {
    kind: "serial",
    list: async () => [
      { path: "/dev/serial/by-id/usb-a", name: "/dev/ttyUSB0", state: "ok" },
      { path: "/dev/ttyS0", name: "x", state: "busy", problem: "someone has it open", remedy: "kill 7" },
    ],
  },
];

async function listed(...flags: string[]): Promise<CapturedIo> {
  const io = new CapturedIo();
  const { command, rest } = findCommand(["devices", ...flags]);
  expect(await devices(parseInvocation(command, rest, io), listers)).toBe(0);
  return io;
}

describe("devices", () => {
  test("shows each kind, what is wrong and what mends it", async () => {
    expect((await listed()).stdout).toBe(
      "camera: none found\n" +
        "serial:\n" +
        "  /dev/serial/by-id/usb-a  (/dev/ttyUSB0)\n" +
        "  /dev/ttyS0  (x)\n" +
        "      busy: someone has it open\n" +
        "      -> kill 7\n",
    );
  });

  test("prints a line of JSON for each device", async () => {
    expect((await listed("--json")).jsonLines()).toEqual([
      { kind: "serial", path: "/dev/serial/by-id/usb-a", name: "/dev/ttyUSB0", state: "ok" },
      {
        kind: "serial",
        path: "/dev/ttyS0",
        name: "x",
        state: "busy",
        problem: "someone has it open",
        remedy: "kill 7",
      },
    ]);
  });

  test("are checked by doctor", async () => {
    expect(await deviceChecks(listers)).toEqual([
      { name: "camera", state: "ok", detail: "none found" },
      { name: "serial", state: "warning", detail: "/dev/ttyS0: busy: someone has it open", remedy: "kill 7" },
    ]);
  });
});

describeWithSocat("board", () => {
  test("is a robot at its path, for one session after another", { timeout: 120_000 }, async () => {
    const path = join(mkdtempSync(join(tmpdir(), "microturn-cli-board-")), "port");
    const io = new CapturedIo();
    const running = main(["board", path], io);
    for (const speed of [0.5, -0.25]) {
      const host = new Attached(path);
      await until(() => host.states.includes("ready"));
      await driveUntil(host, speed, () => io.stdout.includes(`speed ${speed}, turn 0, light 0\n`));
      await host.close();
    }
    expect(io.stdout.trimEnd().split("\n").at(-1)).toBe("speed 0, turn 0, light 0");
    io.interrupt();
    expect(await running).toBe(0);
  });

  test("of its own process lets go of everything on Ctrl-C", { timeout: 120_000 }, async () => {
    const path = join(mkdtempSync(join(tmpdir(), "microturn-cli-board-")), "port");
    const child = spawn(join(root, "bin/microturn"), ["board", path, "--json"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const host = new Attached(path);
    await until(() => host.states.includes("ready"));
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    child.kill("SIGINT");
    expect(await ended).toBe(0);
    await until(() => host.states.at(-1) === "lost");
    await host.close();
  });
});
