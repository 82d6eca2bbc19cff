import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { OutputPart } from "../../src/core/micro-turn.ts";
import { Recording } from "../../src/record/reader.ts";
import { Recorder } from "../../src/record/recorder.ts";
import { replay } from "../../src/record/replay.ts";
import { Session } from "../../src/runtime/session.ts";
import { ScriptedModel } from "../runtime/scripted-model.ts";

const RATE_HZ = 24_000;
const SAMPLES = 1920;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sound-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Script = (index: number) => OutputPart[];

const model = (script: Script) =>
  new ScriptedModel({ microTurnMs: 80, audioSampleRateHz: RATE_HZ, videoFramesPerMicroTurn: null, script });

const sound = (value: number, count = SAMPLES): OutputPart => ({
  kind: "sound",
  samples: new Float32Array(count).fill(value),
  sampleRateHz: RATE_HZ,
});

const script: Script = (index) => [{ kind: "text", text: ` ${index}` }, sound(index / 100)];

async function record(path: string): Promise<void> {
  const clock = new VirtualClock();
  const scripted = model(script);
  const recorder = await Recorder.open({
    path,
    head: { profile: {}, model: scripted.description, checkpoint: {} },
    sampleRateHz: RATE_HZ,
    limitBytes: 1e9,
    clock,
    onStop: (fault) => expect.fail(fault.message),
  });
  const speaker = new NullSpeaker(clock);
  const options = { clock, model: scripted, sources: [], voice: new FakeVoice(), speaker, durationMs: 800 };
  await new Session({ ...options, observers: [recorder] }).run();
  await recorder.close();
}

test("a session of a model that puts out sound replays: tokens, words and lengths, not the samples", async () => {
  const path = join(folder, "session.mcap");
  await record(path);
  const recording = await Recording.open(path);
  const outputs: unknown[] = [];
  const result = await replay(model(script), recording.entries(), (entry) => {
    if (entry.kind === "step") outputs.push(entry.step.output.parts);
  });
  expect(result).toMatchObject({ microTurns: 10, difference: null });
  expect(outputs[3]).toEqual([
    { kind: "text", text: " 3" },
    { kind: "sound", sampleRateHz: RATE_HZ, sampleCount: SAMPLES },
  ]);
});

test.each<[string, Script]>([
  ["other words", (index) => (index === 5 ? [{ kind: "text", text: " five" }, sound(0)] : script(index))],
  ["no sound", (index) => (index === 5 ? [{ kind: "text", text: " 5" }] : script(index))],
  ["less sound", (index) => (index === 5 ? [{ kind: "text", text: " 5" }, sound(0, 1919)] : script(index))],
])("a replay with %s is another", async (name, other) => {
  const path = join(folder, `${name}.mcap`);
  await record(path);
  const recording = await Recording.open(path);
  const { difference } = await replay(model(other), recording.entries());
  expect(difference?.recorded.output.index).toBe(5);
});
