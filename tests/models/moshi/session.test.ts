import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { chunked, FakeMicrophone } from "../../../devices/microphone/fake-microphone.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../../devices/voice/fake-voice.ts";
import type { FrameReply, HeardFrame } from "../../../models/moshi/dialogue.ts";
import { findMoshiFiles } from "../../../models/moshi/files.ts";
import { Generation } from "../../../models/moshi/generation.ts";
import { createLanguageModel } from "../../../models/moshi/gpu/gpu-language-model.ts";
import { parseMimiConfig } from "../../../models/moshi/mimi/config.ts";
import { createMimi } from "../../../models/moshi/mimi/mimi.ts";
import { Engine, type EngineOptions } from "../../../models/moshi/worker/engine.ts";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import { digestsOf } from "../../../src/cli/checkpoints.ts";
import { shippedParts } from "../../../src/cli/parts.ts";
import { parseProfile } from "../../../src/config/profile.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { InteractionModel } from "../../../src/core/model.ts";
import type { StepRecord } from "../../../src/runtime/events.ts";
import { Session } from "../../../src/runtime/session.ts";
import { describeOnGpu, gaussian } from "../../kernels/harness.ts";
import { countDispatches, countSubmissions } from "./count-dispatches.ts";
import { mimiConfigJson, TINY_MOSHI, writeTinyCheckpoint } from "./tiny-checkpoint.ts";

/** Many pipelines are compiled here, several times over: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

/** Past the language model's window of 20 frames, and past the codec's of 12. */
const FRAMES = 30;

let directory: string;
let options: EngineOptions;
const heard = gaussian(77, 1920 * FRAMES, 0.2);
const frames: HeardFrame[] = Array.from({ length: FRAMES }, (_, n) => ({
  pcm: heard.slice(1920 * n, 1920 * (n + 1)),
  isLast: false,
}));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "moshi-"));
  await writeTinyCheckpoint(directory);
  const persona = { voice: null, role: "" };
  const files = await findMoshiFiles(directory);
  options = { files, weights: "as-stored", temperature: null, seed: 3, persona };
});
afterAll(() => rm(directory, { recursive: true }));

async function converse(engine: Engine): Promise<FrameReply[]> {
  await engine.reset();
  const replies: FrameReply[] = [];
  for (const frame of frames) replies.push(...(await engine.step([frame])).replies);
  return replies;
}

/** A session in virtual time over what is heard, as the command line runs it: tokens of each step, and all that sounded. */
async function session(model: InteractionModel) {
  const clock = new VirtualClock();
  const steps: StepRecord[] = [];
  const summary = await new Session({
    clock,
    model,
    sources: [new FakeMicrophone({ chunks: chunked(heard, 24_000, 50) })],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ step: (record) => steps.push(record) }],
    durationMs: 80 * FRAMES,
    log: { write: () => {} },
  }).run();
  const parts = steps.flatMap(({ output }) => output.parts);
  return {
    summary,
    tokens: steps.map(({ output }) => [...output.tokens]),
    sounds: parts.flatMap((part) => (part.kind === "sound" ? [part.samples] : [])),
  };
}

describeOnGpu("a conversation with a tiny Moshi", (gpu) => {
  let engine: Engine;
  let replies: FrameReply[];
  beforeAll(async () => {
    engine = await Engine.create(options);
    replies = await converse(engine);
  });
  afterAll(() => engine.close());

  it("is what codec, language model and generation give step by step", async () => {
    const { config } = options.files;
    const tensors = await openSafetensors(join(directory, "model.safetensors"));
    const model = await createLanguageModel(gpu, config, tensors, {
      // What is published for a checkpoint that says nothing of it.
      audio: { temperature: 0.8, topK: 250 },
      text: { temperature: 0.7, topK: 25 },
      seed: 3,
      format: "f32",
    });
    const sizes = parseMimiConfig(JSON.stringify(mimiConfigJson()), "mimi_config.json");
    const codec = await openSafetensors(join(directory, "mimi-tiny@1.safetensors"));
    const mimi = await createMimi(gpu, sizes, codec, { nCodebooks: 2 });
    for (const file of [tensors, codec]) await file.close();
    const generation = new Generation(model, config);
    for (const [n, { pcm }] of frames.entries()) {
      const codes = await mimi.encode(pcm!);
      if (n === 0) await generation.step(codes);
      const { frame, sampled } = await generation.step(codes);
      expect(replies[n]!.tokens.slice(-3)).toEqual([sampled.text, ...sampled.audio]);
      expect(replies[n]!.sound).toEqual(await mimi.decode(frame!.slice(1, 3)));
    }
    await model.close();
    await mimi.close();
    // Worth the name: tokens differ from frame to frame.
    expect(new Set(replies.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(FRAMES / 2);
  });

  it("is the same again after a reset, and several frames at once are those frames", async () => {
    await engine.reset();
    const again: FrameReply[] = [];
    for (let n = 0; n < FRAMES; n += 3) again.push(...(await engine.step(frames.slice(n, n + 3))).replies);
    expect(again).toEqual(replies);
  });

  it("makes nothing on the device once it runs and takes the same steps in every frame, past the windows too", async () => {
    const before = { ...engine.gpu.created };
    const dispatches = countDispatches(engine.gpu);
    const submissions = countSubmissions(engine.gpu);
    await engine.reset();
    const perFrame: number[] = [];
    const submitted: number[] = [];
    for (const frame of frames) {
      const [from, submittedBefore] = [dispatches(), submissions()];
      await engine.step([frame]);
      perFrame.push(dispatches() - from);
      submitted.push(submissions() - submittedBefore);
    }
    expect(engine.gpu.created).toEqual(before);
    // The codec's encoder, and then network, draws and voice together.
    expect(submitted.slice(1)).toEqual(new Array(FRAMES - 1).fill(2));
    // The first frame is given twice.
    expect(perFrame[0]).toBeGreaterThan(perFrame[1]!);
    expect(perFrame.slice(1)).toEqual(new Array(FRAMES - 1).fill(perFrame[1]));
  });

  it.each<[string, Record<string, unknown>, boolean]>([
    ["hibiki", { ...TINY_MOSHI, model_type: "hibiki", delays: [0, 0, 2, 0, 2] }, true],
    ["personaplex", { ...TINY_MOSHI, n_q: 16, dep_q: 16, delays: new Array(17).fill(0) }, true],
    ["stt", { ...TINY_MOSHI, model_type: "stt", n_q: 2, dep_q: 0, delays: [0, 0, 0] }, false],
  ])("with %s in its place runs from the same kind of folder", async (kind, json, speaks) => {
    const other = join(directory, kind);
    await writeTinyCheckpoint(other, json);
    const files = await findMoshiFiles(other);
    expect(files.kind).toBe(kind);
    const runs = await Engine.create({ ...options, files });
    await runs.reset();
    const made = await runs.step(frames.slice(0, 4));
    await runs.close();
    expect(made.replies.every(({ tokens }, n) => tokens.length > 0 || n === 0)).toBe(true);
    const sound = made.replies.at(-1)!.sound;
    expect(sound?.length ?? null).toBe(speaks ? 1920 : null);
    expect(sound?.every(Number.isFinite) ?? true).toBe(true);
  });

  it("is cut by a loss of the device, told so, and begins anew on another", async () => {
    await engine.reset();
    await engine.step(frames.slice(0, 4));
    const lost = engine.gpu;
    lost.device.destroy();
    await lost.lost;
    expect(await engine.step(frames.slice(4, 5))).toMatchObject({ replies: [], isNew: true });
    expect(engine.gpu).not.toBe(lost);
    const { replies: first, isNew } = await engine.step(frames.slice(0, 5));
    expect(isNew).toBe(false);
    expect(first).toEqual(replies.slice(0, 5));
  });

  it("runs in a worker thread as --model names it, twice the same in virtual time", async () => {
    const profile = parseProfile({ model: `moshi:${directory}`, seed: 3 }, "test");
    const model = await shippedParts.loadModel(profile);
    expect(model.description).toMatchObject({ model: `moshi/${basename(directory)}`, backend: "gpu" });
    expect(model.perception).toMatchObject({ microTurnMs: 80, audioSampleRateHz: 24_000 });
    const [first, second] = [await session(model), await session(model)];
    await model.close();
    expect(first.summary).toMatchObject({ microTurns: FRAMES, late: 0, gaps: { count: 0 } });
    expect(first.tokens).toEqual(replies.map(({ tokens }) => tokens));
    expect(first.sounds).toEqual(replies.map(({ sound }) => sound));
    expect({ ...second, summary: null }).toEqual({ ...first, summary: null });
  });
});

it("a recording names every file that the checkpoint is read from", async () => {
  const names = ["config.json", "model.safetensors", "mimi-tiny@1.safetensors"];
  const all = [...names, "mimi_config.json", "tokenizer.model"];
  const profile = parseProfile({ model: `moshi:${directory}` }, "test");
  expect(await shippedParts.checkpointDigests(profile)).toEqual(await digestsOf(directory, all));
});

it.each<[string, Record<string, unknown>, RegExp]>([
  ["the CPU", { backend: "cpu" }, /run on the GPU alone/],
  ["a persona", { persona: { role: "You are a bank clerk." } }, /takes no voice or role/],
])("%s is refused by name", async (_, keys, message) => {
  const profile = parseProfile({ model: `moshi:${directory}`, ...keys }, "test");
  await expect(shippedParts.loadModel(profile)).rejects.toThrow(message);
});

it("a text-to-speech checkpoint is no model to talk with", async () => {
  const speaking = join(directory, "tts");
  await writeTinyCheckpoint(speaking, {
    ...TINY_MOSHI,
    model_type: "tts",
    tts_config: { audio_delay: 1.28 },
  });
  const profile = parseProfile({ model: `moshi:${speaking}` }, "test");
  await expect(shippedParts.loadModel(profile)).rejects.toMatchObject({ code: "invalid-configuration" });
});
