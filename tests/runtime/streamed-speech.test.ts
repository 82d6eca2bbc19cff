import { describe, expect, test } from "vitest";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { Playback, Speaker, Speech, StreamingVoice } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { HeardWords } from "../../src/runtime/heard-words.ts";
import { SpeakerQueue } from "../../src/runtime/speaker-queue.ts";
import { StreamedSpeech } from "../../src/runtime/streamed-speech.ts";
import { ScriptedVoice } from "./scripted-voice.ts";
import { hear } from "./voice-contract.ts";

/** What a silent speaker is given first: half a piece, as the fakes need nothing ahead. */
const LEAD_MS = 40;

function setUp(voice: StreamingVoice = new ScriptedVoice(), speaker?: Speaker) {
  const clock = new VirtualClock();
  clock.start();
  const log: string[] = [];
  const queue = new SpeakerQueue(clock, speaker ?? new NullSpeaker(clock));
  const speech = new StreamedSpeech(clock, voice, queue, {
    said: (word, startMs) => log.push(`${startMs} ${word}`),
    heard: ({ text, startMs, endMs }) => log.push(`${startMs}-${endMs} heard ${text}`),
    voiceFailed: (fault) => log.push(`failed: ${fault instanceof Error ? fault.message : ""}`),
  });
  return { clock, speech, log };
}

describe("streamed speech", () => {
  test("each word is told where it begins, and was heard until nothing more of it sounds", async () => {
    const { speech, log } = setUp();
    speech.say("one two");
    speech.say("three");
    await speech.drained();
    // Two pieces of 80 ms with a tone each, and one of silence.
    expect(log).toEqual([
      `${LEAD_MS} one`,
      `${LEAD_MS}-${LEAD_MS + 160} heard one`,
      `${LEAD_MS + 240} two`,
      `${LEAD_MS + 240}-${LEAD_MS + 400} heard two`,
      `${LEAD_MS + 480} three`,
      `${LEAD_MS + 480}-${LEAD_MS + 640} heard three`,
    ]);
    expect(speech.underruns).toBe(0);
    expect(speech.idle).toBe(true);
  });

  test("words that come every other micro-turn are one utterance; a pause ends it", async () => {
    const voice = new ScriptedVoice();
    const { words } = await hear(voice, { 0: "one", 2: "two", 4: "three", 8: "four" });
    expect(voice.utterances).toEqual([["one", "two", "three"], ["four"]]);
    const tMs = Object.fromEntries(words.map((word) => [word.text, word.tMs]));
    // With "two", said at 600; with the micro-turn at 1400 that is 400 ms after "three" and empty.
    expect(tMs).toMatchObject({ one: 600 + LEAD_MS, two: 1000 + LEAD_MS, three: 1400 + LEAD_MS });
    expect(tMs.four).toBe(2200 + LEAD_MS);
  });

  test("the speaker is never given a piece with more than 400 ms before it, and each as soon as that is so", async () => {
    const ahead: number[] = [];
    const clock = new VirtualClock();
    clock.start();
    const inner = new NullSpeaker(clock);
    let untilMs = 0;
    const play = (text: string, sound: Speech): Playback => {
      ahead.push(Math.max(0, untilMs - clock.nowMs()));
      untilMs = Math.max(untilMs, clock.nowMs()) + (sound.samples.length / sound.sampleRateHz) * 1000;
      return inner.play(text, sound);
    };
    const watched = {
      name: "watched",
      play,
      flush: () => {},
      close: async () => {},
      discard: async () => {},
    };
    const listener = { said: () => {}, heard: () => {}, voiceFailed: () => {} };
    const queue = new SpeakerQueue(clock, watched);
    const speech = new StreamedSpeech(clock, new ScriptedVoice(), queue, listener);
    speech.say("one two three four five");
    await speech.drained();
    expect(Math.max(...ahead)).toBe(400);
    expect(ahead.slice(8).every((ms) => ms === 400)).toBe(true);
  });

  test.each([
    // "one" sounds from 40 to 200, "two" from 280 to 440.
    [100, "one two three four", []],
    [230, "two three four", ["one"]],
    [300, "two three four", ["one"]],
    [470, "three four", ["one", "two"]],
  ])("a flush at %i ms leaves unsaid '%s'", async (flushMs, unsaid, heard) => {
    const { clock, speech, log } = setUp();
    speech.say("one two three");
    speech.say("four");
    await clock.sleepUntil(flushMs);
    expect(speech.flush()).toBe(unsaid);
    await speech.drained();
    expect(log.flatMap((line) => /heard (.*)$/.exec(line)?.slice(1) ?? [])).toEqual(heard);
    speech.say("sorry");
    await speech.drained();
    expect(log.at(-1)).toBe(`${flushMs + LEAD_MS}-${flushMs + LEAD_MS + 160} heard sorry`);
  });

  test("a flush while nothing sounds drops the words that wait for others", async () => {
    const voice = new ScriptedVoice();
    const { clock, speech, log } = setUp(voice);
    speech.say("one");
    await clock.sleepUntil(100);
    expect(speech.flush()).toBe("one");
    await speech.drained();
    expect(log).toEqual([]);
    expect(speech.flush()).toBe("");
  });

  test("a voice that comes too late is an underrun; a model that pauses is none", async () => {
    const clock = new VirtualClock();
    clock.start();
    const voice = new ScriptedVoice();
    let piece = 0;
    const slow: StreamingVoice = {
      name: "slow",
      begin(signal) {
        const inner = voice.begin(signal);
        return {
          get unsaid() {
            return inner.unsaid;
          },
          say: (text) => inner.say(text),
          end: () => inner.end(),
          async next() {
            if (++piece === 3) await clock.pass(300);
            return inner.next();
          },
        };
      },
      close: () => voice.close(),
    };
    const listener = { said: () => {}, heard: () => {}, voiceFailed: () => {} };
    const queue = new SpeakerQueue(clock, new NullSpeaker(clock));
    const speech = new StreamedSpeech(clock, slow, queue, listener);
    speech.say("one two");
    await speech.drained();
    expect(speech.underruns).toBe(1);
    piece = 3;
    speech.say("one two");
    await clock.sleepUntil(clock.nowMs() + 2000);
    speech.say("three");
    await speech.drained();
    expect(speech.underruns).toBe(1);
  });

  test("32 phrases may wait; beyond that the oldest goes, counted", async () => {
    const voice = new ScriptedVoice();
    const { speech } = setUp(voice);
    for (let n = 0; n < 50; n++) speech.say(`${n}`);
    await speech.drained();
    // The first is with the voice already, so it stays.
    expect(speech.dropped).toBe(17);
    const said = voice.utterances.flat().map(Number);
    expect(said).toEqual([0, ...Array.from({ length: 32 }, (_, i) => 18 + i)]);
  });

  test("an utterance that the voice cannot go on with is reported; what comes after it is said", async () => {
    const voice = new ScriptedVoice({ failsAt: "bad" });
    const { speech, log } = setUp(voice);
    speech.say("one bad three");
    speech.say("four");
    await speech.drained();
    expect(log.filter((line) => !line.includes("heard"))).toEqual([
      "failed: cannot say bad",
      `${LEAD_MS} one`,
      `${LEAD_MS + 240} four`,
    ]);
  });

  test("a speaker that breaks ends it", async () => {
    const fault = new RuntimeError("output-failed", { part: "speaker", problem: "disk full" });
    const broken = { started: Promise.resolve(null), finished: Promise.reject(fault) };
    broken.finished.catch(() => {});
    const nothing = async () => {};
    const speaker = { name: "broken", play: () => broken, flush: () => {}, close: nothing, discard: nothing };
    const { speech } = setUp(new ScriptedVoice(), speaker);
    speech.say("hello");
    await expect(speech.drained()).rejects.toBe(fault);
    expect(() => speech.say("again")).toThrow(fault);
  });
});

describe("heard words", () => {
  const played = (n: number, whole = true) => ({ text: "", startMs: 80 * n, endMs: 80 * n + 80, whole });

  test("a word goes on until the next, silence or a cut", () => {
    const heard: string[] = [];
    const words = new HeardWords(({ text, startMs, endMs }) => heard.push(`${startMs}-${endMs} ${text}`));
    words.add({ word: "", isAudible: true }, played(0));
    words.add({ word: "a", isAudible: true }, played(1));
    words.add({ word: "", isAudible: true }, played(2));
    words.add({ word: "b", isAudible: false }, played(3));
    words.add({ word: "c", isAudible: true }, played(4));
    words.add({ word: "", isAudible: false }, played(5));
    expect(heard).toEqual(["80-240 a", "240-320 b", "320-400 c"]);
    words.add({ word: "d", isAudible: true }, played(6));
    words.add({ word: "", isAudible: true }, played(7, false));
    words.end();
    expect(heard).toHaveLength(3);
    words.add({ word: "e", isAudible: true }, played(8));
    words.add({ word: "f", isAudible: true }, played(9, false));
    words.end();
    expect(heard.slice(3)).toEqual(["640-720 e"]);
  });
});
