import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serialFrom } from "../../../devices/devices.ts";
import { FakeRobot } from "../../../devices/serial/fake-robot.ts";
import { PluggedRobot } from "../../../devices/serial/plugged-robot.ts";
import { makePty } from "../../../devices/serial/pty.ts";
import { RealClock } from "../../../src/core/clock.ts";
import { seededRandom } from "../../timeline/random.ts";
import { Attached, driveUntil, until } from "./attached.ts";
import { randomBytes } from "./bytes.ts";
import { describeWithSocat } from "./socat.ts";

let path: string;
let robot: PluggedRobot;
let host: Attached;

beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "microturn-serial-")), "board");
  robot = new PluggedRobot({ path });
});
afterEach(async () => {
  await host?.close();
  await robot.close();
});

describeWithSocat("a board on a port of the system", () => {
  test("takes commands, speaks, and rests when the session ends", async () => {
    await robot.plug();
    host = new Attached(path);
    await until(() => host.states.includes("ready"));
    expect(host.events[0]).toMatchObject({
      kind: "device",
      state: "ready",
      device: `serial ${path}`,
      detail: "fake-robot",
    });
    await driveUntil(host, 0.5, () => robot.robot.motion.speed === 0.5);
    await until(() => host.board.counters.done > 0);
    await until(() => host.lines.some((line) => /^range \d\.\d$/.test(line)));
    await driveUntil(host, 0.25, () => robot.robot.motion.speed === 0.25);
    await host.close();
    expect(robot.robot.motion.speed).toBe(0);
  });

  test("refuses what the board does not allow, and the model learns it", async () => {
    await robot.plug();
    host = new Attached(path);
    await until(() => host.states.includes("ready"));
    await driveUntil(host, 2, () =>
      host.lines.includes("command drive refused: the board does not allow these values"),
    );
    expect(robot.robot.motion.speed).toBe(0);
  });

  test("is reported to have failed once, and again after it has worked", async () => {
    await robot.plug();
    host = new Attached(path);
    await until(() => host.states.includes("ready"));
    const refusals = () => host.lines.filter((line) => line.startsWith("command drive refused")).length;
    const { counters } = host.board;
    await driveUntil(host, 2, () => counters.refused >= 5);
    expect(refusals()).toBe(1);
    await driveUntil(host, 0.5, () => counters.done > 0);
    await driveUntil(host, 2, () => refusals() === 2);
  });

  test("is awaited when it is not there yet, and a command meanwhile is refused", async () => {
    host = new Attached(path);
    await until(() => host.states.includes("lost"));
    expect(host.events[0]).toMatchObject({ state: "lost", detail: expect.stringMatching(/No such file/) });
    host.drive(0.5);
    await until(() => host.lines.includes("command drive refused: the board is not connected"));
    await robot.plug();
    await until(() => host.states.includes("ready"));
    expect(host.states).toEqual(["lost", "ready"]);
  });

  test("is let go when its session ends before it has begun", async () => {
    await robot.plug();
    const closing = new AbortController();
    const board = serialFrom(
      { port: path, baud: 115_200, heartbeatMs: 500, commandMs: 1000 },
      ["drive"],
      new RealClock(),
    )!;
    const draw = async () => {
      for await (const _ of board.open(new RealClock(), closing.signal));
    };
    const drawn = draw();
    await until(() => robot.robot.link.live);
    closing.abort();
    await drawn;
    expect(board.counters.connects).toBeLessThanOrEqual(1);
  });

  test("is found again under its path after the plug was pulled; what was under way expires", async () => {
    await robot.plug();
    host = new Attached(path);
    await until(() => host.states.includes("ready"));
    process.kill(robot.pid!, "SIGSTOP");
    host.drive(0.5);
    await robot.unplug();
    await until(() => host.states.includes("lost"));
    expect(host.lines.filter((line) => line.startsWith("command"))).toEqual([
      "command drive expired: the board was lost",
    ]);
    await robot.plug();
    await until(() => host.states.length === 3);
    expect(host.states).toEqual(["ready", "lost", "ready"]);
    await driveUntil(host, 0.25, () => robot.robot.motion.speed === 0.25);
    expect(host.board.counters).toMatchObject({ connects: 2, expired: 1 });
  });

  test("that nobody reads holds up nothing: commands expire, the link is given up and comes back", async () => {
    await robot.plug();
    host = new Attached(path, { commandMs: 150 });
    await until(() => host.states.includes("ready"));
    process.kill(robot.pid!, "SIGSTOP");
    for (let i = 0; !host.states.includes("lost"); i++) {
      host.drive((i % 10) / 10);
      await delay(5);
    }
    const { expired, superseded, done } = host.board.counters;
    expect(expired + superseded).toBeGreaterThan(0);
    expect(done).toBe(0);
    process.kill(robot.pid!, "SIGCONT");
    await until(() => host.states.length === 3);
    await driveUntil(host, 0.5, () => robot.robot.motion.speed === 0.5);
  });

  test("lives with noise, cut lines and lost answers in both directions", async () => {
    const random = seededRandom(5);
    const pty = await makePty(path);
    const applied: number[] = [];
    let written = 0;
    let received = 0;
    const noisy = new FakeRobot({
      write(bytes) {
        pty.write(randomBytes(random, Math.floor(random() * 20)));
        pty.write(++written % 6 === 0 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes);
      },
      onMotion: ({ speed }) => applied.push(speed),
    });
    const nowMs = () => Math.floor(performance.now());
    pty.output.on("data", (bytes: Uint8Array) => {
      noisy.receive(randomBytes(random, Math.floor(random() * 20)), nowMs());
      noisy.receive(++received % 7 === 0 ? bytes.subarray(1) : bytes, nowMs());
    });
    const timer = setInterval(() => noisy.poll(nowMs()), 10);
    try {
      host = new Attached(path);
      await until(() => host.states.includes("ready"));
      const { counters } = host.board;
      const ended = () => counters.done + counters.unacknowledged + counters.expired + counters.refused;
      for (let i = 1; i <= 20; i++) {
        for (const { done } = counters; counters.done === done; ) {
          const before = ended();
          host.drive(i / 100);
          await until(() => ended() > before);
        }
      }
      // Nothing made up, nothing in another order.
      const moved = applied.filter((speed) => speed !== 0);
      expect(moved).toEqual(moved.toSorted((a, b) => a - b));
      expect(new Set(moved)).toEqual(new Set(Array.from({ length: 20 }, (_, i) => (i + 1) / 100)));
      expect(counters.retries).toBeGreaterThan(0);
      expect(counters.badFrames).toBeGreaterThan(0);
      expect(counters.noiseBytes).toBeGreaterThan(0);
    } finally {
      clearInterval(timer);
      await pty.kill();
    }
  });
});

describeWithSocat("the path of a pseudo-terminal", () => {
  test("is never taken from a file", async () => {
    writeFileSync(path, "precious");
    await expect(robot.plug()).rejects.toMatchObject({ code: "device-unavailable" });
  });

  test("is taken over from one that was killed", async () => {
    symlinkSync("/dev/pts/none", path);
    await robot.plug();
    host = new Attached(path);
    await until(() => host.states.includes("ready"));
  });

  test("in no folder is refused", async () => {
    const nowhere = new PluggedRobot({ path: "/no/such/folder/board" });
    await expect(nowhere.plug()).rejects.toMatchObject({ code: "device-unavailable" });
    await nowhere.close();
  });
});
