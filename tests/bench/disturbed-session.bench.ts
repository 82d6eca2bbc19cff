import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bench } from "vitest";
import { WebSocket } from "ws";
import { serialFrom, typedText } from "../../devices/devices.ts";
import { PluggedRobot } from "../../devices/serial/plugged-robot.ts";
import type { SerialBoard } from "../../devices/serial/serial-board.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { loadNativeModel } from "../../models/native/model.ts";
import { movingPicture, quietRoom } from "../../src/cli/bench-sources.ts";
import { shippedParts } from "../../src/cli/parts.ts";
import { profileOf } from "../../src/cli/profile-options.ts";
import { type SessionRecording, startRecording } from "../../src/cli/recording.ts";
import { SessionScreen } from "../../src/cli/screen.ts";
import { type Clock, RealClock } from "../../src/core/clock.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { percentile } from "../../src/observe/percentile.ts";
import type { SessionEvent, SessionObserver } from "../../src/runtime/events.ts";
import { Session } from "../../src/runtime/session.ts";
import { describeWithSocat } from "../devices/serial/socat.ts";

const SECONDS = Number(process.env.SECONDS ?? 18);
const ROUNDS = Number(process.env.ROUNDS ?? 2);
const BROWSERS = 4;
/** A browser that does not read is let go after 10 s; then another comes. */
const VISIT_MS = 4000;
/** The disk is full after so much: a second or two of the recording. */
const DISK_BYTES = 128 * 1024;
/** What has settled by then counts: the disk is full, the port is blocked, ms. */
const SETTLED_MS = 2000;
const CONDITIONS = ["undisturbed", "stalled browsers", "full disk", "blocked port", "recorded"] as const;
type Condition = (typeof CONDITIONS)[number];

/** What a condition adds to a session. */
interface Disturbance {
  observers: SessionObserver[];
  board?: SerialBoard;
  recording?: SessionRecording;
  /** Ends it. @throws Error if the condition was not what its name says. */
  end(): Promise<void>;
}

interface Measured {
  stepMs: number[];
  late: number;
}

const profile = profileOf({
  camera: "file:moving",
  voice: "fake",
  text: [{ seconds: 0, text: "count my reps" }],
});

/** The model with a command in every micro-turn. It reads typed text only, as more to read makes any step longer. */
function driving(model: InteractionModel): InteractionModel {
  return {
    perception: model.perception,
    description: model.description,
    async step(inputs) {
      const typed = inputs.map((input) => ({
        ...input,
        events: input.events.filter(({ kind }) => kind === "text"),
      }));
      const output = await model.step(typed);
      return { ...output, parts: [...output.parts, { kind: "action", name: "drive", args: { speed: 0.1 } }] };
    },
    reset: () => model.reset(),
    close: () => model.close(),
    ...(model.reduceFrame ? { reduceFrame: model.reduceFrame.bind(model) } : {}),
  };
}

/** A file system so small that it is soon full; null for a user who may make none. `unshare -rm` makes anyone one who may. */
function smallDisk(): { path: string; remove: () => void } | null {
  const path = mkdtempSync(join(tmpdir(), "microturn-full-"));
  const remove = () => rmSync(path, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", path]);
  if (mounted.status !== 0) {
    remove();
    return null;
  }
  return {
    path,
    remove() {
      spawnSync("umount", [path]);
      remove();
    },
  };
}

/** The conditions that can be made here. */
function possible(): Condition[] {
  const disk = smallDisk();
  disk?.remove();
  if (disk) return [...CONDITIONS];
  process.stdout.write(
    "full disk: skipped, this user may not mount one; run it as root or under unshare -rm\n",
  );
  return CONDITIONS.filter((condition) => condition !== "full disk");
}

/** Browsers that take the page's socket and never read it. */
async function stalledBrowsers(model: InteractionModel): Promise<Disturbance> {
  const shown = { ...profile, screen: { address: "127.0.0.1:0", picture: true } };
  const screen = await SessionScreen.open(shown, model, "bench");
  let sockets: WebSocket[] = [];
  let opened = 0;
  const visit = () => {
    for (const socket of sockets) socket.terminate();
    sockets = Array.from({ length: BROWSERS }, () => {
      const socket = new WebSocket(`${screen.url.replace("http", "ws")}/live`);
      socket.on("open", () => {
        opened++;
        socket.pause();
      });
      // One that is let go while it connects.
      socket.on("error", () => {});
      return socket;
    });
  };
  visit();
  const timer = setInterval(visit, VISIT_MS);
  return {
    observers: [screen],
    async end() {
      clearInterval(timer);
      for (const socket of sockets) socket.terminate();
      await screen.close();
      if (opened < BROWSERS) throw new Error(`${opened} browsers were there, expected ${BROWSERS}`);
    },
  };
}

async function recorded(model: InteractionModel, clock: Clock, full: boolean): Promise<Disturbance> {
  const disk = full ? smallDisk() : null;
  const folder = disk?.path ?? mkdtempSync(join(tmpdir(), "microturn-recorded-"));
  let fault = "";
  const recording = await startRecording({
    path: join(folder, "session.mcap"),
    limitBytes: 4e9,
    profile,
    model,
    parts: shippedParts,
    clock,
    tell: (event: SessionEvent) => {
      if (event.kind === "device" && event.state === "lost") fault = event.detail;
    },
  });
  return {
    observers: [recording],
    recording,
    async end() {
      await recording.close();
      if (disk) disk.remove();
      else rmSync(folder, { recursive: true });
      if (full ? !fault.includes("ENOSPC") : fault !== "")
        throw new Error(`the recording ended with '${fault}'`);
    },
  };
}

/** A board whose port takes nothing more from the first second on. */
async function blockedPort(clock: Clock): Promise<Disturbance> {
  const folder = mkdtempSync(join(tmpdir(), "microturn-port-"));
  const port = join(folder, "board");
  const robot = new PluggedRobot({ path: port });
  await robot.plug();
  const board = serialFrom({ port, baud: 115_200, heartbeatMs: 2000, commandMs: 1000 }, ["drive"], clock)!;
  const block = setTimeout(() => process.kill(robot.pid!, "SIGSTOP"), 1000);
  return {
    observers: [],
    board,
    async end() {
      clearTimeout(block);
      const { done, expired, refused, unacknowledged } = board.counters;
      await robot.close();
      rmSync(folder, { recursive: true });
      if (done === 0 || expired + refused + unacknowledged === 0)
        throw new Error(`${done} commands were carried out, ${expired + refused + unacknowledged} were not`);
    },
  };
}

function disturb(condition: Condition, model: InteractionModel, clock: Clock): Promise<Disturbance> {
  switch (condition) {
    case "undisturbed":
      return Promise.resolve({ observers: [], end: async () => {} });
    case "stalled browsers":
      return stalledBrowsers(model);
    case "full disk":
      return recorded(model, clock, true);
    case "recorded":
      return recorded(model, clock, false);
    case "blocked port":
      return blockedPort(clock);
  }
}

async function measure(condition: Condition, model: InteractionModel): Promise<Measured> {
  const clock = new RealClock();
  const { observers, board, recording, end } = await disturb(condition, model, clock);
  const stepMs: number[] = [];
  let late = 0;
  const durationMs = 1000 * SECONDS;
  const counting: SessionObserver = {
    step(step) {
      if (step.inputs[0]!.startMs < SETTLED_MS) return;
      stepMs.push(step.stepMs);
      if (step.late) late++;
    },
  };
  const speaker = new NullSpeaker(clock);
  await new Session({
    clock,
    model,
    sources: [
      movingPicture(durationMs),
      quietRoom(durationMs, 16_000),
      typedText(profile.text),
      ...(board ? [board] : []),
    ],
    voice: new FakeVoice(),
    speaker: recording?.listenTo(speaker) ?? speaker,
    observers: [...observers, counting],
    actionSinks: board ? [board] : [],
    durationMs,
    log: { write: () => {} },
  }).run();
  await end();
  return { stepMs, late };
}

function report(results: ReadonlyMap<Condition, readonly Measured[]>, adapter: string): string {
  const sorted = (condition: Condition) =>
    results
      .get(condition)!
      .flatMap(({ stepMs }) => stepMs)
      .sort((a, b) => a - b);
  const usual = sorted("undisturbed");
  return [...results]
    .map(([condition, runs]) => {
      const steps = sorted(condition);
      const late = runs.reduce((sum, run) => sum + run.late, 0);
      const figures = [0.5, 0.95, 0.99].map((share) => {
        const [ms, usualMs] = [percentile(steps, share), percentile(usual, share)];
        return `p${100 * share} ${ms.toFixed(1)} ms (${(ms / usualMs).toFixed(2)})`;
      });
      return `session, ${condition}: step ${figures.join(", ")}, ${late} of ${steps.length} late (${adapter})`;
    })
    .join("\n");
}

async function compare(): Promise<void> {
  const native = await loadNativeModel({
    directory: fileURLToPath(new URL("../../models/native/shipped", import.meta.url)),
    backend: "cpu",
  });
  const model = driving(native);
  try {
    const conditions = possible();
    const results = new Map<Condition, Measured[]>(conditions.map((condition) => [condition, []]));
    // In turns, so that what else the machine does falls on all alike; the first session warms up.
    await measure("undisturbed", model);
    for (let round = 0; round < ROUNDS; round++) {
      for (const condition of conditions) results.get(condition)!.push(await measure(condition, model));
    }
    process.stdout.write(`${report(results, native.description.adapter)}\n`);
  } finally {
    await model.close();
  }
}

describeWithSocat("a session while browser, disk or port take nothing; ratios to the undisturbed one", () => {
  let ran: Promise<void> | undefined;
  const once = () => {
    ran ??= compare();
    return ran;
  };
  bench("step time", once, { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0, throws: true });
});
