import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import type { Codec } from "../../../models/moshi/codec.ts";
import type { Conversation, ConversationWishes } from "../../../models/moshi/conversation.ts";
import {
  FRAME_MS,
  type HeardFrame,
  MoshiSource,
  SpeakingDialogue,
  TokenTap,
  TranscribingDialogue,
} from "../../../models/moshi/dialogue.ts";
import { type DialogueEngine, DialogueModel } from "../../../models/moshi/dialogue-model.ts";
import { Generation } from "../../../models/moshi/generation.ts";
import { Hibiki } from "../../../models/moshi/hibiki.ts";
import type { FrameOutput } from "../../../models/moshi/language-model.ts";
import { SentencePiece } from "../../../models/moshi/sentencepiece/sentencepiece.ts";
import { TextStream } from "../../../models/moshi/sentencepiece/text-stream.ts";
import { SpeechToText } from "../../../models/moshi/speech-to-text.ts";
import type { InputEvent, MicroTurnInput } from "../../../src/core/micro-turn.ts";
import { ScriptedModel } from "./scripted-model.ts";

const LAYOUT = { nQ: 4, depQ: 2, delays: [0, 0, 1, 0, 1], textCard: 300, card: 13 };

let tokenizer: SentencePiece;

beforeAll(async () => {
  const path = fileURLToPath(new URL("./sentencepiece/bytes.model", import.meta.url));
  tokenizer = await SentencePiece.open(path);
});

/** A codec whose codes tell how loud a frame was, and whose sound tells which codes it was made of. */
class FakeCodec implements Codec {
  readonly nCodebooks = 2;
  readonly encoded: Int32Array[] = [];
  readonly decoded: Int32Array[] = [];
  resets = 0;

  async encode(pcm: Float32Array): Promise<Int32Array> {
    const codes = Int32Array.of(Math.round(10 * pcm[0]!), 1);
    this.encoded.push(codes);
    return codes;
  }

  async decode(codes: Int32Array): Promise<Float32Array> {
    this.decoded.push(codes);
    return new Float32Array(1920).fill(codes[0]! + codes[1]! / 16);
  }

  async reset(): Promise<void> {
    this.resets++;
  }

  async close(): Promise<void> {}
}

const sound = (level: number): HeardFrame => ({ pcm: new Float32Array(1920).fill(level), isLast: false });

/** Text and sound that differ from step to step. */
const script = (step: number): Partial<FrameOutput> => ({
  text: step % 3 === 0 ? 3 : 5 + step,
  audio: Int32Array.of(step % 13, (step + 5) % 13),
});

function speaking(model = new ScriptedModel(LAYOUT.depQ, script)) {
  const tap = new TokenTap(model);
  const codec = new FakeCodec();
  const source = new MoshiSource(new Generation(tap, LAYOUT));
  const text = new TextStream(tokenizer);
  return { model, codec, dialogue: new SpeakingDialogue({ source, tap, codec, voiceCodebooks: 2, text }) };
}

describe("a conversation", () => {
  test("is what codec, generation and text give one after the other", async () => {
    const { model, codec, dialogue } = speaking();
    await dialogue.reset();
    const generation = new Generation(new ScriptedModel(LAYOUT.depQ, script), LAYOUT);
    const text = new TextStream(tokenizer);
    for (let n = 0; n < 12; n++) {
      const reply = await dialogue.step(sound(n / 10));
      const codes = Int32Array.of(n, 1);
      // The network would not see the first frame if it were given once.
      if (n === 0) await generation.step(codes);
      const { frame, sampled } = await generation.step(codes);
      expect(reply.tokens.slice(-3)).toEqual([sampled.text, ...sampled.audio]);
      expect(reply.tokens).toHaveLength(n === 0 ? 6 : 3);
      expect(codec.decoded.at(-1)).toEqual(frame!.slice(1));
      expect(reply.sound![0]).toBe(frame![1]! + frame![2]! / 16);
      expect(reply.text).toBe(text.push(frame![0]!));
    }
    expect(model.inputs).toHaveLength(13);
    // The first frame comes through, behind the initial token.
    expect(model.inputs.slice(0, 4).map((tokens) => tokens[3])).toEqual([13, 0, 1, 2]);
  });

  test("begins anew with a reset: the codec too, and the prompt comes before it", async () => {
    const order: string[] = [];
    const tap = new TokenTap(new ScriptedModel(LAYOUT.depQ, script));
    const codec = new FakeCodec();
    codec.reset = async () => void order.push("codec");
    const source = {
      step: async () => ({ frame: null }),
      reset: async () => void order.push("source"),
    };
    const prompt = async () => {
      order.push("prompt");
      await tap.frame({ tokens: new Int32Array(5) });
    };
    const text = new TextStream(tokenizer);
    const dialogue = new SpeakingDialogue({ source, tap, codec, voiceCodebooks: 2, text, prompt });
    await dialogue.reset();
    expect(order).toEqual(["source", "prompt", "codec"]);
    // What a prompt samples is nobody's, and a model that has nothing yet says nothing.
    expect(await dialogue.step(sound(0))).toEqual({ tokens: [], sound: null, text: "", captions: [] });
  });

  test("refuses a frame of another length, and hears silence where there is no microphone", async () => {
    const { codec, dialogue } = speaking();
    await dialogue.reset();
    await expect(dialogue.step({ pcm: new Float32Array(1919), isLast: false })).rejects.toMatchObject({
      code: "shape-mismatch",
    });
    await dialogue.step({ pcm: null, isLast: false });
    expect(codec.encoded).toEqual([Int32Array.of(0, 1)]);
  });

  test("a translation is told when the source speech is over, and is silent when it is complete", async () => {
    const model = new ScriptedModel(LAYOUT.depQ, (step) => ({ ...script(step), text: step === 7 ? 2 : 5 }));
    const tap = new TokenTap(model);
    const codec = new FakeCodec();
    const text = new TextStream(tokenizer);
    const source = new Hibiki(tap, LAYOUT);
    const dialogue = new SpeakingDialogue({ source, tap, codec, voiceCodebooks: 2, text });
    await dialogue.reset();
    const replies = [];
    for (let n = 0; n < 10; n++) replies.push(await dialogue.step({ ...sound(0.3), isLast: n === 3 }));
    // Frame 3 is the last that holds speech: the network is told in the place of frame 4, which is its step 5.
    expect(model.inputs.map((tokens) => tokens[3])).toEqual([13, 3, 3, 3, 3, 13, 3, 3]);
    expect(replies.map(({ sound: made }) => made !== null)).toEqual([
      ...new Array<boolean>(7).fill(true),
      ...new Array<boolean>(3).fill(false),
    ]);
  });

  test("speech to text writes words with the time at which they began", async () => {
    const layout = { ...LAYOUT, nQ: 2, depQ: 0, delays: [0, 0, 0] };
    const config = {
      ...layout,
      extraHeads: { count: 0, classes: 6 },
      stt: { audioDelaySeconds: 0.16, silencePrefixSeconds: 0.16 },
    };
    // The first step counts twice; two frames of silence go before.
    const said: Record<number, number> = { 6: 0, 7: 266, 8: 268, 9: 3 };
    const model = new ScriptedModel(0, (step) => ({ text: said[step] ?? 3 }));
    const tap = new TokenTap(model);
    const codec = new FakeCodec();
    const transcriber = new SpeechToText(tap, config, (tokens) => tokenizer.decode(tokens));
    const dialogue = new TranscribingDialogue({ transcriber, tap, codec, silentFrames: 2 });
    await dialogue.reset();
    expect(codec.encoded).toHaveLength(2);
    const replies = [];
    for (let n = 0; n < 8; n++) replies.push(await dialogue.step(sound(0.5)));
    expect(replies.map(({ tokens }) => tokens)).toEqual([[3], [3], [3], [0], [266], [268], [3], [3]]);
    const words = replies.flatMap(({ captions }, n) => captions.map((caption) => ({ n, ...caption })));
    // Token 6 tells of 6 / 12.5 s less 0.16 s of delay and 0.16 s of silence.
    expect(words).toEqual([
      { n: 6, text: tokenizer.decode([266, 268]).trim(), startMs: expect.closeTo(160) },
    ]);
    expect(replies.every(({ sound: made }) => made === null)).toBe(true);
  });
});

describe("a model of the family in a session", () => {
  const GREEDY = { temperature: 0, topK: 0 };
  const turn = (index: number, events: InputEvent[] = []): MicroTurnInput => ({
    index,
    startMs: FRAME_MS * index,
    durationMs: FRAME_MS,
    audio: new Float32Array(1920).fill(index / 10),
    frames: [],
    events,
  });

  function modelOf(engine: Partial<DialogueEngine>) {
    const given: (readonly HeardFrame[])[] = [];
    const full: DialogueEngine = {
      adapter: "none",
      step: async (frames) => {
        given.push(frames);
        const replies = frames.map(({ pcm }) => ({
          tokens: [Math.round(10 * pcm![0]!)],
          sound: pcm!.slice(),
          text: " a",
          captions: [],
        }));
        return { replies, isNew: false };
      },
      reset: async () => {},
      begin: async () => {},
      close: async () => {},
      ...engine,
    };
    const conversationOf = async ({ role = "" }: ConversationWishes): Promise<Conversation> => ({
      draws: { text: GREEDY, audio: GREEDY, textSeed: 0, audioSeed: 0 },
      persona: { voice: null, role },
    });
    const description = { model: "moshi/test", backend: "gpu", adapter: "", reason: "a test" } as const;
    return { given, model: new DialogueModel({ engine: full, conversationOf, description, lagMs: 80 }) };
  }

  test("puts out the sound of every frame of a late step, each with its text before it", async () => {
    const { model } = modelOf({});
    const { index, tokens, parts } = await model.step([turn(4), turn(5)]);
    expect([index, tokens]).toEqual([5, [4, 5]]);
    expect(parts.map(({ kind }) => kind)).toEqual(["text", "sound", "text", "sound"]);
    expect(parts[3]).toMatchObject({ sampleRateHz: 24_000 });
    expect(model.description.adapter).toBe("none");
  });

  test("is told of the microphone's end", async () => {
    const { model, given } = modelOf({});
    const ended = (device: string): InputEvent => ({
      kind: "device",
      timeMs: 0,
      device,
      state: "ended",
      detail: "",
    });
    await model.step([turn(0, [ended("file camera a.mp4")]), turn(1, [ended("file microphone a.wav")])]);
    expect(given[0]!.map(({ isLast }) => isLast)).toEqual([false, true]);
  });

  test("captions stand at the session time at which the words began", async () => {
    const captions = [{ text: "one", startMs: 160 }];
    const reply = { tokens: [], sound: null, text: "", captions };
    const { model } = modelOf({ step: async () => ({ replies: [reply], isNew: false }) });
    const { parts } = await model.step([turn(25)]);
    expect(parts).toEqual([{ kind: "text", text: "one", heardMs: 25 * FRAME_MS + 160 }]);
  });

  test("begins a conversation as it is wished for: its first frame is a first one", async () => {
    const begun: Conversation[] = [];
    const reply = { tokens: [], sound: null, text: "", captions: [{ text: "one", startMs: 0 }] };
    const { model } = modelOf({
      step: async () => ({ replies: [reply], isNew: false }),
      begin: async (conversation) => void begun.push(conversation),
    });
    await model.step([turn(0)]);
    const conversation = await model.begin({ role: "A cook." });
    expect(begun).toEqual([conversation]);
    expect(conversation.persona.role).toBe("A cook.");
    expect((await model.step([turn(9)])).parts).toEqual([
      { kind: "text", text: "one", heardMs: 9 * FRAME_MS },
    ]);
  });

  test("tells by an action that whoever was heard has ended", async () => {
    const ended = { pauseSeconds: 2, probability: 0.75 };
    const reply = { tokens: [], sound: null, text: "", captions: [{ text: "one", startMs: 0 }], ended };
    const { model } = modelOf({ step: async () => ({ replies: [reply], isNew: false }) });
    expect((await model.step([turn(1)])).parts).toEqual([
      { kind: "text", text: "one", heardMs: 80 },
      { kind: "action", name: "speaker-ended", args: ended },
    ]);
  });

  test("falls silent at once where a lost device made the conversation begin anew", async () => {
    const { model } = modelOf({ step: async () => ({ replies: [], isNew: true }) });
    expect(await model.step([turn(3)])).toEqual({ index: 3, tokens: [], parts: [{ kind: "yield" }] });
  });

  test("takes one step at a time", async () => {
    const { model } = modelOf({});
    const first = model.step([turn(0)]);
    await expect(model.step([turn(1)])).rejects.toMatchObject({ code: "invalid-argument" });
    await first;
    await expect(model.step([])).rejects.toThrow(/no micro-turn/);
  });
});
