import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type Conversation, usualConversation } from "../../../models/moshi/conversation.ts";
import type { FrameReply } from "../../../models/moshi/dialogue.ts";
import { findMoshiFiles } from "../../../models/moshi/files.ts";
import { createLanguageModel } from "../../../models/moshi/gpu/gpu-language-model.ts";
import { parseMimiConfig } from "../../../models/moshi/mimi/config.ts";
import { createMimi } from "../../../models/moshi/mimi/mimi.ts";
import { PersonaPlex, personaPlexWindow, VOICE_CODEBOOKS } from "../../../models/moshi/personaplex.ts";
import { SentencePiece } from "../../../models/moshi/sentencepiece/sentencepiece.ts";
import { readVoiceState } from "../../../models/moshi/voice-state.ts";
import { Engine, type EngineOptions } from "../../../models/moshi/worker/engine.ts";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import { describeOnGpu, gaussian } from "../../kernels/harness.ts";
import { mimiConfigJson, TINY_PERSONAPLEX, writeTinyCheckpoint, writeTinyVoice } from "./tiny-checkpoint.ts";

/** Pipelines are compiled here: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const FRAMES = 5;
const frames = Array.from({ length: FRAMES }, (_, n) => ({
  pcm: gaussian(40 + n, 1920, 0.2),
  isLast: false,
}));

let directory: string;
let options: EngineOptions;
let usual: Conversation;
let wished: Conversation;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "moshi-"));
  await writeTinyCheckpoint(directory, TINY_PERSONAPLEX);
  const voice = join(directory, "voices", "A.safetensors");
  await writeTinyVoice(voice, 70);
  const files = await findMoshiFiles(directory);
  options = { files, weights: "as-stored", temperature: null, seed: 3, persona: { voice: null, role: "" } };
  usual = usualConversation(files, options);
  wished = {
    draws: {
      text: { temperature: 1.1, topK: 100 },
      audio: { temperature: 0.9, topK: 0 },
      textSeed: 11,
      audioSeed: 11,
      textPaddingBonus: 2,
    },
    persona: { voice, role: "A cook" },
  };
});
afterAll(() => rm(directory, { recursive: true }));

describeOnGpu("conversations with a tiny PersonaPlex", (gpu) => {
  let engine: Engine;
  let asLoaded: FrameReply[];
  let asWished: FrameReply[];
  beforeAll(async () => {
    engine = await Engine.create(options);
    await engine.reset();
    asLoaded = await step();
    await engine.begin(wished);
    asWished = await step();
  });
  afterAll(() => engine.close());

  async function step(count = FRAMES): Promise<FrameReply[]> {
    const replies: FrameReply[] = [];
    for (const frame of frames.slice(0, count)) replies.push(...(await engine.step([frame])).replies);
    return replies;
  }

  it("have the voice, the role and the draws that they are begun with", async () => {
    const { config } = options.files;
    const tensors = await openSafetensors(join(directory, "model.safetensors"));
    const { text, audio, textPaddingBonus, textSeed: seed } = wished.draws;
    const model = await createLanguageModel(gpu, config, tensors, {
      ...{ text, audio, seed },
      textPaddingBonus: textPaddingBonus!,
      window: personaPlexWindow(config.context),
      format: "f32",
    });
    const sizes = parseMimiConfig(JSON.stringify(mimiConfigJson(config.card)), "mimi_config.json");
    const codec = await openSafetensors(join(directory, "mimi-tiny@1.safetensors"));
    const mimi = await createMimi(gpu, sizes, codec, { nCodebooks: VOICE_CODEBOOKS });
    for (const file of [tensors, codec]) await file.close();
    const tokenizer = await SentencePiece.open(join(directory, "tokenizer.model"));
    const session = new PersonaPlex(model, config);
    const prompt = {
      voice: await readVoiceState(wished.persona.voice!, config),
      text: tokenizer.encode("<system> A cook <system>"),
    };
    for await (const _ of session.prompt(prompt)) {
      // Brought before the conversation.
    }
    for (const [n, { pcm }] of frames.entries()) {
      const { frame, sampled } = await session.step(await mimi.encode(pcm));
      expect(asWished[n]!.tokens).toEqual([sampled!.text, ...sampled!.audio]);
      expect(asWished[n]!.sound).toEqual(await mimi.decode(frame!.slice(1, 1 + VOICE_CODEBOOKS)));
    }
    await model.close();
    await mimi.close();
  });

  it("stay so over a reset, and the next one is as usual again", async () => {
    await engine.begin(wished);
    await engine.reset();
    expect(await step()).toEqual(asWished);
    const created = { ...engine.gpu.created };
    await engine.begin(usual);
    expect(await step()).toEqual(asLoaded);
    expect(engine.gpu.created).toEqual(created);
    expect(asWished.map(({ tokens }) => tokens)).not.toEqual(asLoaded.map(({ tokens }) => tokens));
  });

  it("differ by either seed, and by the voice alone", async () => {
    const { draws, persona } = wished;
    const others: Conversation[] = [
      { draws: { ...draws, textSeed: 12 }, persona },
      { draws: { ...draws, audioSeed: 12 }, persona },
      { draws, persona: { ...persona, voice: null } },
      { draws, persona: { ...persona, role: "A poet" } },
    ];
    for (const other of others) {
      await engine.begin(other);
      expect((await step(2)).map(({ tokens }) => tokens)).not.toEqual(
        asWished.slice(0, 2).map(({ tokens }) => tokens),
      );
    }
  });

  it("go on as they were where a voice cannot be read", async () => {
    await engine.begin(wished);
    const broken = join(directory, "voices", "broken.safetensors");
    await writeFile(broken, "none");
    for (const voice of [broken, join(directory, "voices", "absent.safetensors")]) {
      await expect(engine.begin({ ...usual, persona: { voice, role: "" } })).rejects.toMatchObject({
        code: expect.stringMatching(/invalid-checkpoint|missing-file/),
      });
    }
    await engine.reset();
    expect(await step()).toEqual(asWished);
  });

  it("are as they were begun after the device was lost", async () => {
    await engine.begin(wished);
    await step(1);
    const lost = engine.gpu;
    lost.device.destroy();
    await lost.lost;
    expect(await engine.step(frames.slice(0, 1))).toMatchObject({ replies: [], isNew: true });
    expect(await step()).toEqual(asWished);
  });
});
