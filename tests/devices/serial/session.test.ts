import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { serialFrom } from "../../../devices/devices.ts";
import { PluggedRobot } from "../../../devices/serial/plugged-robot.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../../devices/voice/fake-voice.ts";
import { type Clock, RealClock, VirtualClock } from "../../../src/core/clock.ts";
import type { OutputPart } from "../../../src/core/micro-turn.ts";
import type { SessionEvent } from "../../../src/runtime/events.ts";
import type { Policy } from "../../../src/runtime/policy.ts";
import { Session } from "../../../src/runtime/session.ts";
import { ScriptedModel } from "../../runtime/scripted-model.ts";
import { seededRandom } from "../../timeline/random.ts";
import { until } from "./attached.ts";
import { describeWithSocat } from "./socat.ts";

/** PORT_KILLS=200 for the full measure: ten seconds more. */
const PORT_KILLS = Number(process.env.PORT_KILLS ?? 50);

const policy: Policy = {
  actuators: {
    drive: {
      speed: { min: -0.5, max: 0.5, outside: "veto" },
      turn: { min: -0.2, max: 0.2, outside: "clip" },
    },
  },
};

function sessionWith(
  port: string,
  clock: Clock,
  script: (index: number) => OutputPart[],
  durationMs?: number,
) {
  const board = serialFrom({ port, baud: 115_200, heartbeatMs: 500, commandMs: 1000 }, ["drive"], clock)!;
  const events: SessionEvent[] = [];
  const model = new ScriptedModel({ script });
  const session = new Session({
    clock,
    model,
    sources: [board],
    actionSinks: [board],
    policy,
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ event: (event) => events.push(event) }],
    log: { write: () => {} },
    ...(durationMs === undefined ? {} : { durationMs }),
  });
  const heard = () => model.steps.flat().flatMap((input) => input.events);
  const lines = () => heard().flatMap((event) => (event.kind === "serial" ? [event.line] : []));
  return { board, events, model, session, heard, lines };
}

const drive = (args: Record<string, unknown>): OutputPart => ({ kind: "action", name: "drive", args });

describe("a session with a fake board", () => {
  const script = (index: number): OutputPart[] => {
    if (index === 2) return [drive({ speed: 0.5, turn: 7 })];
    if (index === 8) return [drive({ speed: 5 })];
    if (index === 9) return [{ kind: "action", name: "fly", args: {} }];
    return index > 20 ? [drive({ speed: 0.5 })] : [];
  };

  test("hears its sensors, moves it within the policy, and tells what it did not do", async () => {
    const { session, events, heard, lines, board } = sessionWith("fake", new VirtualClock(), script, 20_000);
    await session.run();
    expect(heard()[0]).toMatchObject({ kind: "device", state: "ready", device: "serial fake" });
    const told = events.flatMap((event) => ("args" in event ? [[event.kind, event.name, event.args]] : []));
    expect(told.slice(0, 3)).toEqual([
      ["action", "drive", { speed: 0.5, turn: 0.2 }],
      ["vetoed", "drive", { speed: 5 }],
      ["action", "fly", {}],
    ]);
    // It drives on: the wall comes near, and is met.
    const ranges = lines().flatMap((line) => (line.startsWith("range ") ? [Number(line.slice(6))] : []));
    expect(ranges[0]).toBeGreaterThan(2.5);
    expect(ranges.at(-1)).toBe(0);
    expect(ranges).toEqual(ranges.toSorted((a, b) => b - a));
    expect(lines().filter((line) => line === "bump")).toHaveLength(1);
    expect(board.counters).toMatchObject({ expired: 0, refused: 0, lostFrames: 0, badFrames: 0 });
  });

  test("gives the same in virtual time each time", async () => {
    const run = async () => {
      const { session, heard } = sessionWith("fake", new VirtualClock(), script, 10_000);
      await session.run();
      return heard();
    };
    expect(await run()).toEqual(await run());
  });

  test("has no real port in virtual time", () => {
    expect(() => sessionWith("/dev/ttyUSB0", new VirtualClock(), script)).toThrow(/real time/);
  });
});

describeWithSocat("a session with a board on a port", () => {
  const newPath = () => join(mkdtempSync(join(tmpdir(), "microturn-serial-")), "board");
  const openFiles = () => readdirSync("/proc/self/fd").length;

  test(`outlives ${PORT_KILLS} kills of the port in one session`, { timeout: 600_000 }, async () => {
    const random = seededRandom(200);
    const path = newPath();
    const robot = new PluggedRobot({ path });
    const ending = new AbortController();
    const { session, model, heard, board } = sessionWith(path, new RealClock(), (index) => [
      drive({ speed: (index % 10) / 20 }),
    ]);
    const running = session.run(ending.signal);
    const before = openFiles();
    for (let kill = 0; kill < PORT_KILLS; kill++) {
      const { connects } = board.counters;
      const { gone } = await robot.plug();
      // Anywhere from a port that is there and not yet opened to a board that has worked for a while.
      if (kill % 2 === 0) await delay(random() * 60);
      else await until(() => board.counters.connects > connects);
      await robot.unplug();
      await gone;
    }
    await robot.plug();
    const { done } = board.counters;
    await until(() => board.counters.done > done);
    expect(openFiles()).toBeLessThan(before + 10);
    ending.abort();
    const summary = await running;
    await robot.close();

    expect(summary.dropped).toEqual({ frames: 0, events: 0, phrases: 0, sound: 0, intervals: 0 });
    const indices = model.steps.flat().map(({ index }) => index);
    expect(indices).toEqual(indices.map((_, index) => index));
    // The model is told of each loss and each return, in turn.
    const states = heard().flatMap((event) => (event.kind === "device" ? [event.state] : []));
    expect(states.length).toBeGreaterThanOrEqual(PORT_KILLS);
    states.forEach((state, at) => {
      if (at > 0) expect(state).not.toBe(states[at - 1]);
    });
    expect(robot.robot.motion.speed).toBe(0);
  });

  test("has the robot stop within the heartbeat when the host is killed", { timeout: 120_000 }, async () => {
    const path = newPath();
    // From the moment of the kill on, time passes when the test says so.
    let frozenMs: number | null = null;
    const robot = new PluggedRobot({ path, nowMs: () => frozenMs ?? Math.floor(performance.now()) });
    await robot.plug();
    const child = spawn(process.execPath, [
      "--import",
      "tsx",
      fileURLToPath(new URL("host-process.ts", import.meta.url)),
      path,
    ]);
    try {
      await until(() => robot.robot.link.live && robot.robot.motion.speed === 0.5);
      frozenMs = Math.floor(performance.now());
      robot.robot.poll(frozenMs);
      await killed(child);
      await delay(200); // what the host had written before arrives
      const heardMs = robot.robot.link.hostHeardMs!;
      expect(heardMs).toBeLessThanOrEqual(frozenMs);
      frozenMs = heardMs + 1999;
      robot.robot.poll(frozenMs);
      expect(robot.robot.motion.speed).toBe(0.5);
      frozenMs = heardMs + 2000;
      robot.robot.poll(frozenMs);
      expect(robot.robot.motion.speed).toBe(0);
      expect(robot.robot.link.live).toBe(false);
    } finally {
      await killed(child);
      await robot.close();
    }
  });
});

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
}
