import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bench } from "vitest";
import { serialFrom } from "../../devices/devices.ts";
import { PluggedRobot } from "../../devices/serial/plugged-robot.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { loadNativeModel } from "../../models/native/model.ts";
import { RealClock } from "../../src/core/clock.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { percentile } from "../../src/observe/percentile.ts";
import { Session } from "../../src/runtime/session.ts";
import { describeWithSocat } from "../devices/serial/socat.ts";

/** Sessions of each kind, by turns, so that what else the machine does falls on both; and the length of one, ms. */
const ROUNDS = 6;
const SESSION_MS = 6000;

/** The model, with a command in every micro-turn; it reads no lines: more to read makes any step longer. */
function driving(model: InteractionModel): InteractionModel {
  return {
    perception: model.perception,
    description: model.description,
    async step(inputs) {
      const output = await model.step(inputs.map((input) => ({ ...input, events: [] })));
      return { ...output, parts: [...output.parts, { kind: "action", name: "drive", args: { speed: 0.1 } }] };
    },
    reset: () => model.reset(),
    close: () => model.close(),
  };
}

/** Step times of one session, ms; with `blocked` nobody reads the port from its second second on. */
async function stepTimes(model: InteractionModel, blocked: boolean): Promise<number[]> {
  const path = join(mkdtempSync(join(tmpdir(), "microturn-bench-")), "board");
  const robot = new PluggedRobot({ path });
  await robot.plug();
  const clock = new RealClock();
  const board = serialFrom(
    { port: path, baud: 115_200, heartbeatMs: 2000, commandMs: 1000 },
    ["drive"],
    clock,
  )!;
  const times: number[] = [];
  const block = setTimeout(() => blocked && process.kill(robot.pid!, "SIGSTOP"), 1000);
  const session = new Session({
    clock,
    model,
    sources: [board],
    actionSinks: [board],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ step: ({ inputs, stepMs }) => inputs[0]!.startMs >= 1200 && times.push(stepMs) }],
    durationMs: SESSION_MS,
    log: { write: () => {} },
  });
  await session.run();
  clearTimeout(block);
  const { done, expired, unacknowledged, refused } = board.counters;
  process.stdout.write(
    `${blocked ? "blocked" : "open   "} done ${done}, expired ${expired}, unacknowledged ${unacknowledged}, refused ${refused}\n`,
  );
  await robot.close();
  return times;
}

async function compare(): Promise<void> {
  const native = await loadNativeModel({
    directory: new URL("../../models/native/shipped", import.meta.url).pathname,
    backend: "cpu",
  });
  const model = driving(native);
  const open: number[] = [];
  const blocked: number[] = [];
  await stepTimes(model, false);
  for (let round = 0; round < ROUNDS; round++) {
    open.push(...(await stepTimes(model, false)));
    blocked.push(...(await stepTimes(model, true)));
  }
  await model.close();
  for (const times of [open, blocked]) times.sort((a, b) => a - b);
  for (const share of [0.1, 0.25, 0.5, 0.95]) {
    const [a, b] = [percentile(open, share), percentile(blocked, share)];
    process.stdout.write(
      `step time p${100 * share}: open ${a.toFixed(2)} ms, blocked ${b.toFixed(2)} ms, ratio ${(b / a).toFixed(3)} ` +
        `(${open.length} and ${blocked.length} steps, ${native.description.adapter})\n`,
    );
  }
}

describeWithSocat("step time with a serial port that nobody reads", () => {
  let ran: Promise<void> | undefined;
  bench(
    "against one that is read",
    () => {
      ran ??= compare();
      return ran;
    },
    { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0 },
  );
});
