import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readConditions, readVoice } from "../../../models/moshi/conditioners.ts";
import { parseMoshiConfig } from "../../../models/moshi/config.ts";
import { findMoshiFiles } from "../../../models/moshi/files.ts";
import { createLanguageModel } from "../../../models/moshi/gpu/gpu-language-model.ts";
import { SpokenModel } from "../../../models/moshi/gpu/spoken-model.ts";
import { parseMimiConfig } from "../../../models/moshi/mimi/config.ts";
import { createMimi } from "../../../models/moshi/mimi/mimi.ts";
import { SentencePiece } from "../../../models/moshi/sentencepiece/sentencepiece.ts";
import { Script, type ScriptEntry } from "../../../models/moshi/text-to-speech/script.ts";
import { type SpeechReply, SpokenText } from "../../../models/moshi/text-to-speech/spoken-text.ts";
import { TextToSpeech } from "../../../models/moshi/text-to-speech/text-to-speech.ts";
import { MoshiVoice } from "../../../models/moshi/text-to-speech/voice.ts";
import { VoiceEngine, type VoiceEngineOptions } from "../../../models/moshi/worker/voice-engine.ts";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import { shippedParts } from "../../../src/cli/parts.ts";
import { parseProfile } from "../../../src/config/profile.ts";
import type { SpeechPiece } from "../../../src/core/device.ts";
import { describeOnGpu } from "../../kernels/harness.ts";
import { hear, voiceContract } from "../../runtime/voice-contract.ts";
import { countSubmissions } from "./count-dispatches.ts";
import { describeWithFixture, rowOf } from "./fixtures.ts";
import { randomTensors, SMALL as SMALL_MIMI } from "./mimi/random-mimi.ts";
import { mimiConfigJson, writeTinyCheckpoint } from "./tiny-checkpoint.ts";
import { TINY_SPEECH, TINY_VOICE, writeTinySpeech, writeTinyVoice } from "./tiny-speech.ts";

/** Many pipelines are compiled here: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

/** One fewer than the checkpoint makes. */
const N_CODEBOOKS = 3;
const WORDS = ["it's", "one", "more", "word", "now"];
/** A click, in which no word begins. */
const SKIPPED_FRAMES = 2;

let directory: string;
let options: VoiceEngineOptions;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "moshi-voice-"));
  await writeTinySpeech(directory);
  const voice = join(directory, "voices", `${TINY_VOICE}.1234abcd@5.safetensors`);
  options = { files: await findMoshiFiles(directory), voice, nCodebooks: N_CODEBOOKS, seed: 3 };
});
afterAll(() => rm(directory, { recursive: true }));

/** What a run of the original was given: see the set's README. */
interface SpokenRun {
  entries: ScriptEntry[];
  transcript: [string, number][];
  padding_bonus: number;
  max_speakers: number;
}

const profileWith = (keys: Record<string, unknown>) =>
  parseProfile({ voice: `moshi:${directory}`, seed: 3, ...keys }, "test");

/** An utterance, its words given as late as may be. */
async function speak(engine: VoiceEngine, words: readonly string[] = WORDS): Promise<SpeechReply[]> {
  const waiting = [...words];
  const replies: SpeechReply[] = [];
  let given = { text: "", isEnd: false };
  for (;;) {
    const reply = await engine.step(given);
    given = { text: "", isEnd: false };
    if (reply.kind === "done") return replies;
    if (reply.kind === "starved") {
      const word = waiting.shift();
      given = word === undefined ? { text: "", isEnd: true } : { text: word, isEnd: false };
    } else replies.push(reply);
  }
}

const soundsOf = (replies: readonly SpeechReply[]) =>
  replies.flatMap((reply) => (reply.kind === "sound" ? [reply.samples] : []));

describeOnGpu("the voice of a tiny checkpoint", (gpu) => {
  let engine: VoiceEngine;
  let replies: SpeechReply[];
  beforeAll(async () => {
    engine = await VoiceEngine.create(options);
    replies = await speak(engine);
  });
  afterAll(() => engine.close());

  it("is what network, state machine and codec give of the whole text", async () => {
    const { config, tokenizer: path } = options.files;
    const tokenizer = await SentencePiece.open(path);
    const tensors = await openSafetensors(join(directory, "model.safetensors"));
    const voice = await openSafetensors(options.voice);
    const model = await createLanguageModel(gpu, config, tensors, {
      // As Kyutai's own programs do.
      text: { temperature: 0.6, topK: 25 },
      audio: { temperature: 0.6, topK: 250 },
      seed: 3,
      format: "f32",
      conditions: await readConditions(tensors, config, {
        cfg: "2.0",
        control: "ok",
        speaker_wavs: [await readVoice(voice)],
      }),
    });
    const sizes = parseMimiConfig(JSON.stringify(mimiConfigJson()), "mimi_config.json");
    const codecFile = await openSafetensors(join(directory, "mimi-tiny@1.safetensors"));
    const mimi = await createMimi(gpu, sizes, codecFile, { nCodebooks: N_CODEBOOKS });
    for (const file of [tensors, voice, codecFile]) await file.close();
    const speech = new TextToSpeech(model, config, { nCodebooks: N_CODEBOOKS });
    const script = new Script({ encode: (word) => tokenizer.encode(word), hasSpeakers: true });
    speech.push(script.entries(WORDS.join(" ")));
    speech.end();
    const sounds: Float32Array[] = [];
    const begun = new Map<number, string>();
    while (!speech.isDone) {
      const step = await speech.step();
      if (step?.begun) begun.set(step.begun.fromFrame, step.begun.entry.text);
      if (step?.codes) sounds.push(await mimi.decode(step.codes));
    }
    expect(soundsOf(replies)).toEqual(sounds.slice(SKIPPED_FRAMES));
    const words = replies.flatMap((reply) => (reply.kind === "sound" ? [reply.word] : []));
    expect(words).toEqual(sounds.slice(SKIPPED_FRAMES).map((_, n) => begun.get(n + SKIPPED_FRAMES) ?? ""));
    expect([...begun.values()]).toEqual(WORDS);
    await model.close();
    await mimi.close();
  });

  it("speaks every utterance from the beginning, one that followed another that was cut too", async () => {
    await engine.reset();
    expect(await speak(engine)).toEqual(replies);
    await engine.reset();
    for (let t = 0; t < 12; t++) await engine.step({ text: t === 0 ? "a b c d" : "", isEnd: false });
    await engine.reset();
    expect(await speak(engine)).toEqual(replies);
    await engine.reset();
    expect(soundsOf(await speak(engine, ["other", "words"]))).not.toEqual(soundsOf(replies));
    await engine.reset();
  });

  it("makes nothing on the device once it runs, and needs two submissions a frame at most, its sound included", async () => {
    const before = { ...engine.gpu.created };
    const submissions = countSubmissions(engine.gpu);
    const taken: number[] = [];
    let isFirst = true;
    for (let reply: SpeechReply = { kind: "silent" }; reply.kind !== "done"; isFirst = false) {
      const from = submissions();
      reply = await engine.step({ text: isFirst ? WORDS.join(" ") : "", isEnd: isFirst });
      if (reply.kind !== "done") taken.push(submissions() - from);
    }
    await engine.reset();
    expect(engine.gpu.created).toEqual(before);
    expect(taken).toHaveLength(replies.length);
    expect(new Set(taken)).toEqual(new Set([1, 2]));
  });

  it("loses an utterance with the device, and speaks the next one on another", async () => {
    await engine.step({ text: "one two three", isEnd: false });
    const lost = engine.gpu;
    lost.device.destroy();
    await lost.lost;
    await expect(engine.step({ text: "", isEnd: true })).rejects.toMatchObject({ code: "gpu-device-lost" });
    await engine.reset();
    expect(engine.gpu).not.toBe(lost);
    expect(await speak(engine)).toEqual(replies);
    await engine.reset();
  });

  describe("in a session", () => {
    const runner = {
      step: (given: { text: string; isEnd: boolean }) => engine.step(given),
      reset: () => engine.reset(),
      close: async () => {},
    };
    voiceContract(() => new MoshiVoice("voice", runner));
  });

  it("runs in a worker thread as --voice names it, twice the same in virtual time", async () => {
    const voice = await shippedParts.voice(
      profileWith({ textToSpeech: { voice: TINY_VOICE, codebooks: N_CODEBOOKS } }),
    );
    const said = { 0: "it's one", 1: "more word now", 8: "again" };
    const [first, second] = [await hear(voice, said), await hear(voice, said)];
    await voice.close();
    expect(second).toEqual(first);
    expect(first.words.map(({ text }) => text)).toEqual([...WORDS, "again"]);
    expect(first.voiceFaults).toBe(0);
    const beganMs = first.words[0]!.tMs;
    // The same frames begin the words as above, now on the session's clock.
    const frames = replies.flatMap((reply) => (reply.kind === "sound" ? [reply.word] : []));
    const from = frames.indexOf(WORDS[0]!);
    for (const [n, word] of WORDS.entries()) {
      expect(first.words[n]!.tMs - beganMs).toBeCloseTo(80 * (frames.indexOf(word) - from), 6);
    }
  });
});

describeOnGpu("the original's utterance", (gpu) => {
  describeWithFixture("b/lm_tts", (fixture) => {
    it("sounds, frame for frame, as its codes do, and has its words where the original says", async () => {
      const run = fixture.json("tts_run.json") as SpokenRun;
      const config = parseMoshiConfig(JSON.stringify(fixture.json("config.json")), fixture.path);
      const tensors = await openSafetensors(`${fixture.path}model.safetensors`);
      const voice = await openSafetensors(`${fixture.path}voice.safetensors`);
      const said = { cfg: "2.0", control: "ok", speaker_wavs: [await readVoice(voice)] };
      const greedy = { temperature: 0, topK: 0 };
      const model = await createLanguageModel(gpu, config, tensors, {
        text: greedy,
        audio: greedy,
        textPaddingBonus: run.padding_bonus,
        seed: 1,
        format: "f32",
        conditions: await readConditions(tensors, config, said, run.max_speakers),
      });
      for (const file of [tensors, voice]) await file.close();
      // The set has no codec of its own: any with as many codes will do.
      const sizes = { ...SMALL_MIMI, quantizer: { ...SMALL_MIMI.quantizer, bins: 64, nCodebooks: 16 } };
      const codecTensors = randomTensors(sizes, 4);
      const codec = await createMimi(gpu, sizes, codecTensors, { nCodebooks: config.depQ });
      const judge = await createMimi(gpu, sizes, codecTensors, { nCodebooks: config.depQ });
      const spoken = await SpokenModel.create(gpu, model, codec, config.depQ);
      const text = new SpokenText({
        textToSpeech: new TextToSpeech(spoken, config),
        newScript: () => ({ entries: (word) => entriesOf(run.entries, word) }),
        codec: { decode: (codes) => spoken.decode(codes), reset: () => codec.reset() },
      });
      const voiced = new MoshiVoice("voice", {
        step: (given) => text.step(given),
        reset: () => text.reset(),
        close: async () => {},
      });
      const utterance = voiced.begin(new AbortController().signal);
      const waiting = run.transcript.map(([word]) => word);
      const pieces: SpeechPiece[] = [];
      for (let made = await utterance.next(); made !== null; made = await utterance.next()) {
        if (made !== "starved") pieces.push(made);
        else if (waiting.length > 0) utterance.say(waiting.shift()!);
        else utterance.end();
      }
      const frames = fixture.tensors("tts_run.safetensors")("frames");
      const sounds: Float32Array[] = [];
      for (let t = 16; t < frames.shape[0]!; t++) {
        const codes = Int32Array.from(rowOf(frames, t).subarray(1));
        sounds.push(await judge.decode(codes));
      }
      expect(pieces.map(({ samples }) => samples)).toEqual(sounds.slice(SKIPPED_FRAMES));
      const words = pieces.flatMap(({ word }, n) => (word === "" ? [] : [[word, n + SKIPPED_FRAMES]]));
      expect(words).toEqual(run.transcript);
      await voiced.close();
      await model.close();
    });
  });
});

/** The entry of a word, and pauses right after it. */
function entriesOf(entries: readonly ScriptEntry[], word: string): ScriptEntry[] {
  const at = entries.findIndex(({ text }) => text === word.trim());
  const next = entries.findIndex(({ tokens }, n) => n > at && tokens.length > 0);
  return entries.slice(at, next < 0 ? entries.length : next);
}

describe("a voice is found", () => {
  const load = (keys: Record<string, unknown>) => shippedParts.voice(profileWith(keys));

  it.each<[string, Record<string, unknown>, string, RegExp]>([
    [
      "named and absent",
      { textToSpeech: { voice: "bob" } },
      "missing-file",
      /no voice bob: .* has folk\/ann\.wav\.1234abcd@5/,
    ],
    [
      "a path to nothing",
      { textToSpeech: { voice: "/nowhere/v.safetensors" } },
      "missing-file",
      /\/nowhere\/v\.safetensors/,
    ],
    [
      "with too many codebooks",
      { textToSpeech: { codebooks: 5 } },
      "invalid-configuration",
      /5 codebooks of a checkpoint that makes 4/,
    ],
  ])("or refused: %s", async (_, keys, code, message) => {
    await expect(load(keys)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("or refused: one of several that none is named of", async () => {
    const other = join(directory, "several");
    await writeTinySpeech(other);
    await writeTinyVoice(join(other, "voices", "folk", "ann.wav.9876@7.safetensors"), 4);
    const problem = /no voice is named, and .*ann\.wav\.1234abcd@5\.safetensors, folk\/ann\.wav\.9876@7/;
    await expect(load({ voice: `moshi:${other}` })).rejects.toThrow(problem);
    const named = load({ voice: `moshi:${other}`, textToSpeech: { voice: TINY_VOICE } });
    await expect(named).rejects.toThrow(/several voices are called folk\/ann\.wav/);
    await rm(join(other, "voices"), { recursive: true });
    await expect(load({ voice: `moshi:${other}` })).rejects.toThrow(/there is none in .*voices/);
  });

  it("only for a checkpoint that speaks, and takes it from a file", async () => {
    const talking = join(directory, "talking");
    await writeTinyCheckpoint(talking);
    await expect(load({ voice: `moshi:${talking}` })).rejects.toThrow(/does not speak what it is given/);
    const prefixed = join(directory, "prefixed");
    const { conditioners, fuser, ...plain } = TINY_SPEECH;
    await writeTinyCheckpoint(prefixed, { ...plain, cross_attention: false });
    await expect(load({ voice: `moshi:${prefixed}` })).rejects.toThrow(/sound before the text/);
  });
});
