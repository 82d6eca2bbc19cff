import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { Script } from "../../../models/moshi/text-to-speech/script.ts";
import { type SpeechReply, SpokenText } from "../../../models/moshi/text-to-speech/spoken-text.ts";
import { TextToSpeech } from "../../../models/moshi/text-to-speech/text-to-speech.ts";
import { MoshiVoice, type VoiceRunner } from "../../../models/moshi/text-to-speech/voice.ts";
import type { SpeechPiece, Utterance } from "../../../src/core/device.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import { ScriptedModel } from "./scripted-model.ts";

/** Sound three steps behind text, one codebook two more; a word begins as soon as the state machine lets it. */
const CONFIG = {
  nQ: 2,
  depQ: 2,
  delays: [0, 0, 2],
  textCard: 99,
  card: 50,
  tts: { audioDelaySeconds: 0.25, secondStreamAhead: 1 },
};
const NEW_WORD = 0;
const never = new AbortController().signal;

/** A voice whose frames hold the number of the step that made their first codebook. */
function setUp() {
  const model = new ScriptedModel(2, (t) => ({ text: NEW_WORD, audio: Int32Array.of(t, t) }));
  const resets: string[] = [];
  const spoken = new SpokenText({
    textToSpeech: new TextToSpeech(model, CONFIG, { finalPadding: 1 }),
    newScript: () => new Script({ encode: (word) => [...word].map(() => 7), hasSpeakers: true }),
    codec: {
      decode: async ([code]) => new Float32Array(1920).fill(code!),
      reset: async () => void resets.push("codec"),
    },
  });
  return { model, spoken, resets };
}

async function all(utterance: Utterance, words: string[]): Promise<SpeechPiece[]> {
  const pieces: SpeechPiece[] = [];
  for (let made = await utterance.next(); made !== null; made = await utterance.next()) {
    if (made !== "starved") pieces.push(made);
    else if (words.length > 0) utterance.say(words.shift()!);
    else utterance.end();
  }
  return pieces;
}

describe("spoken text", () => {
  test("has each word in the frame whose number is the step that took it; two frames are left out", async () => {
    const { spoken } = setUp();
    const voice = new MoshiVoice("voice", { ...runnerOf(spoken), close: async () => {} });
    const pieces = await all(voice.begin(never), ["it’s (a)", "b:c"]);
    // Two steps of padding; each word: one step for itself with its first piece, one for each other piece, which is the
    // speaker's for the first, and one between words.
    const expected = { "it's": 2, a: 2 + 6, b: 2 + 6 + 2, c: 2 + 6 + 2 + 2 };
    const begun = pieces.flatMap(({ word }, n) => (word === "" ? [] : [[word, n + 2]]));
    expect(Object.fromEntries(begun)).toEqual(expected);
    // The sound of frame n is made three steps after its text, the first one left out is that of step 3.
    expect(pieces.map(({ samples }) => samples[0])).toEqual(pieces.map((_, n) => n + 2 + 3));
    expect(pieces.every(({ isStream, sampleRateHz }) => isStream && sampleRateHz === 24_000)).toBe(true);
  });

  test("is starved for a word until the one after it is known, or that there is none", async () => {
    const { spoken, model } = setUp();
    const replies: SpeechReply["kind"][] = [];
    const step = async (text = "", isEnd = false) => replies.push((await spoken.step({ text, isEnd })).kind);
    for (let n = 0; n < 4; n++) await step(n === 0 ? "a" : "");
    expect(replies).toEqual(["silent", "silent", "starved", "starved"]);
    expect(model.inputs).toHaveLength(2);
    await step("", true);
    expect(replies.at(-1)).toBe("silent");
    await expect(step("b")).rejects.toMatchObject({ code: "invalid-argument" });
  });

  test("begins anew after a reset: its frames, its codec, and who speaks", async () => {
    const { spoken, resets } = setUp();
    const voice = new MoshiVoice("voice", { ...runnerOf(spoken), close: async () => {} });
    const first = await all(voice.begin(never), ["one"]);
    expect(await all(voice.begin(never), ["one"])).toEqual(first);
    await voice.close();
    expect(resets).toEqual(["codec", "codec"]);
  });
});

function runnerOf(spoken: SpokenText): Omit<VoiceRunner, "close"> {
  return { step: (given) => spoken.step(given), reset: () => spoken.reset() };
}

/** A runner whose calls are settled by the test. */
function heldRunner() {
  const calls: string[] = [];
  const pending: { resolve: (reply: SpeechReply) => void; reject: (fault: unknown) => void }[] = [];
  let faultOfReset: unknown = null;
  const runner: VoiceRunner = {
    step({ text, isEnd }) {
      calls.push(`step${text}${isEnd ? " end" : ""}`);
      return new Promise((resolve, reject) => pending.push({ resolve, reject }));
    },
    async reset() {
      calls.push("reset");
      const fault = faultOfReset;
      faultOfReset = null;
      if (fault) throw fault;
    },
    async close() {
      calls.push("close");
    },
  };
  const failReset = (fault: unknown) => {
    faultOfReset = fault;
  };
  return { runner, calls, pending, failReset };
}

const turn = () => new Promise(setImmediate);

describe("the voice", () => {
  test("lets a flush through at once; the step at hand ends before anything else is asked of the runner", async () => {
    const { runner, calls, pending } = heldRunner();
    const voice = new MoshiVoice("voice", runner);
    const flushing = new AbortController();
    const utterance = voice.begin(flushing.signal);
    utterance.say("one two");
    const next = utterance.next();
    await turn();
    flushing.abort(new Error("flushed"));
    await expect(next).rejects.toThrow("flushed");
    expect(utterance.unsaid).toBe("one two");
    const other = voice.begin(never);
    other.say("three");
    void other.next();
    await turn();
    expect(calls).toEqual(["step one two"]);
    pending.shift()!.resolve({ kind: "silent" });
    await turn();
    expect(calls).toEqual(["step one two", "reset", "step three"]);
  });

  test("tells which words have not begun, and hands words and the end on once", async () => {
    const { runner, calls, pending } = heldRunner();
    const utterance = new MoshiVoice("voice", runner).begin(never);
    utterance.say("one (two)");
    utterance.say("three");
    utterance.end();
    const next = utterance.next();
    await turn();
    pending.shift()!.resolve({ kind: "silent" });
    await turn();
    pending.shift()!.resolve({ kind: "sound", samples: new Float32Array(1920), word: "one" });
    expect(await next).toMatchObject({ word: "one" });
    expect(utterance.unsaid).toBe("two three");
    expect(calls).toEqual(["step one (two) three end", "step"]);
  });

  test("passes a fault on, is over with it, and is ready for another utterance", async () => {
    const { runner, calls, pending, failReset } = heldRunner();
    const voice = new MoshiVoice("voice", runner);
    const flushing = new AbortController();
    const fault = new RuntimeError("gpu-device-lost", { part: "gpu", problem: "gone" });
    const speak = async () => {
      const utterance = voice.begin(flushing.signal);
      utterance.say("one");
      const next = utterance.next();
      next.catch(() => {});
      await turn();
      return { utterance, next };
    };
    const first = await speak();
    failReset(fault);
    pending.shift()!.reject(fault);
    await expect(first.next).rejects.toBe(fault);
    expect(await first.utterance.next()).toBeNull();
    // The reset after it fails too: the next utterance hears of that, the one after it is spoken.
    await expect((await speak()).next).rejects.toBe(fault);
    const third = await speak();
    pending.shift()!.resolve({ kind: "done" });
    expect(await third.next).toBeNull();
    await voice.close();
    expect(calls).toEqual(["step one", "reset", "reset", "step one", "reset", "close"]);
    // Nothing of what is over still listens for a flush.
    expect(getEventListeners(flushing.signal, "abort")).toEqual([]);
  });
});
