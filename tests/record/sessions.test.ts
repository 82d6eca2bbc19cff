import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadNativeModel } from "../../models/native/model.ts";
import { RealClock, VirtualClock } from "../../src/core/clock.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { type RecordedEntry, Recording } from "../../src/record/reader.ts";
import { Recorder } from "../../src/record/recorder.ts";
import { replay } from "../../src/record/replay.ts";
import type { SessionEvent, StepRecord } from "../../src/runtime/events.ts";
import { TINY_CONFIG, writeRandomCheckpoint } from "../models/native/random-checkpoint.ts";
import { runRandomSession } from "./random-session.ts";

/** RECORDED_SESSIONS=100 for the full measure: some minutes on a free machine, twenty on a busy one. */
const SESSIONS = Number(process.env.RECORDED_SESSIONS ?? 6);

let folder: string;
/** Greedy on pictures that a recording keeps reduced; sampling, on pictures that it keeps whole. */
let models: InteractionModel[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessions-"));
  const square = { ...TINY_CONFIG, video: { ...TINY_CONFIG.video, height: 16 } };
  await writeRandomCheckpoint(join(folder, "square"), square, 3);
  await writeRandomCheckpoint(join(folder, "wide"), TINY_CONFIG, 4);
  models = [
    await loadNativeModel({ directory: join(folder, "square"), backend: "cpu" }),
    await loadNativeModel({
      directory: join(folder, "wide"),
      backend: "cpu",
      sampling: { temperature: 1, topK: 0, seed: 77 },
    }),
  ];
});
afterAll(async () => {
  for (const model of models) await model.close();
  await rm(folder, { recursive: true });
});

test(`${SESSIONS} random sessions with late steps and typed text give the same tokens again`, {
  timeout: 60_000 * (1 + SESSIONS),
}, async () => {
  const [given, said] = [new Set<string>(), new Set<string>()];
  const [typed, late] = [new Set<string>(), new Set<boolean>()];
  for (let seed = 0; seed < SESSIONS; seed++) {
    const path = join(folder, `${seed}.mcap`);
    const model = models[seed % 2]!;
    // Every third session runs in real time.
    const clock = seed % 3 === 1 ? new RealClock() : new VirtualClock();
    const live = await recorded({ path, model, clock, seed });
    const recording = await Recording.open(path);
    const entries: RecordedEntry[] = [];
    const result = await replay(model, recording.entries(), (entry) => entries.push(entry));
    expect(result.difference, path).toBeNull();
    expect(recording.tear).toBeNull();
    expect(result.microTurns).toBe(live.microTurns);
    // What was recorded is what the observer saw, and not what the replay made of it.
    expect(entries.flatMap((entry) => (entry.kind === "step" ? [entry.step.output.tokens] : []))).toEqual(
      live.tokens,
    );
    expect(entries.flatMap((entry) => (entry.kind === "event" ? [entry.event] : []))).toEqual(live.events);
    const sounds = createHash("sha256");
    for (const entry of entries) {
      if (entry.kind === "event") continue;
      for (const { audio } of entry.step.inputs) if (audio) sounds.update(audio);
      late.add(entry.step.inputs.length > 1);
      for (const { events } of entry.step.inputs)
        for (const event of events) typed.add(event.kind === "text" ? event.text : "");
    }
    given.add(sounds.digest("hex"));
    said.add(JSON.stringify(live.tokens));
  }
  // The sessions are not all alike, and hold what they are meant to hold. A busy machine leaves one in real time so few
  // steps that another may say the same.
  expect(given.size).toBe(SESSIONS);
  expect(said.size).toBeGreaterThan(SESSIONS / 2);
  expect(late).toEqual(new Set([true, false]));
  expect(typed.size).toBeGreaterThan(SESSIONS);
});

async function recorded(setup: {
  path: string;
  model: InteractionModel;
  clock: RealClock | VirtualClock;
  seed: number;
}) {
  const { path, model, clock, seed } = setup;
  const events: SessionEvent[] = [];
  const tokens: (readonly number[])[] = [];
  const recorder = await Recorder.open({
    path,
    head: { profile: {}, model: model.description, checkpoint: {} },
    sampleRateHz: model.perception.audioSampleRateHz,
    limitBytes: 1e9,
    ...(model.reduceFrame ? { reduceFrame: model.reduceFrame.bind(model) } : {}),
    clock,
    onStop: (fault) => {
      throw fault;
    },
  });
  const keeping = {
    event: (event: SessionEvent) => events.push(event),
    step: ({ output }: StepRecord) => tokens.push(output.tokens),
  };
  const durationMs = clock.kind === "real" ? 2000 : 6000;
  const summary = await runRandomSession({ seed, clock, model, observers: [keeping, recorder], durationMs });
  await recorder.close();
  return { microTurns: summary.microTurns, events, tokens };
}
