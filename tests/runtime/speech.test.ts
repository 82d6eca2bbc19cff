import { describe, expect, test } from "vitest";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice, fakeSpeechMs } from "../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { Playback, Speaker, Speech, Voice } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { SpeakerQueue } from "../../src/runtime/speaker-queue.ts";
import { SpeechOutput } from "../../src/runtime/speech.ts";

function setUp(options: { voice?: Voice; speaker?: (clock: VirtualClock) => Speaker } = {}) {
  const clock = new VirtualClock();
  clock.start();
  const speaker = options.speaker?.(clock) ?? new NullSpeaker(clock);
  const log: string[] = [];
  const speech = new SpeechOutput(clock, options.voice ?? new FakeVoice(), new SpeakerQueue(clock, speaker), {
    started: (text, startMs) => log.push(`${startMs} ${text}`),
    played: ({ text, endMs, whole }) => log.push(`${endMs} ${whole ? "end of" : "cut"} ${text}`),
    voiceFailed: (fault) => log.push(`failed: ${fault instanceof Error ? fault.message : ""}`),
  });
  return { clock, speech, log };
}

describe("speech output", () => {
  test("phrases sound one after the other, without a pause while there is more to say", async () => {
    const { speech, log } = setUp();
    speech.say("hello"); // 350 ms
    speech.say("you"); // 250 ms
    speech.say("there"); // 350 ms
    await speech.drained();
    expect(log).toEqual([
      "0 hello",
      "350 end of hello",
      "350 you",
      "600 end of you",
      "600 there",
      "950 end of there",
    ]);
  });

  test("the speaker is never given a phrase with more than 400 ms before it", async () => {
    const waits: number[] = [];
    const { speech } = setUp({
      speaker: (clock) => {
        const inner = new NullSpeaker(clock);
        let untilMs = 0;
        const play = (text: string, sound: Speech): Playback => {
          waits.push(untilMs - clock.nowMs());
          untilMs = Math.max(untilMs, clock.nowMs()) + fakeSpeechMs(text);
          return inner.play(text, sound);
        };
        return { name: "watched", play, flush: () => {}, close: async () => {}, discard: async () => {} };
      },
    });
    for (let n = 0; n < 20; n++) speech.say("word ".repeat(1 + (n % 4)).trim());
    await speech.drained();
    expect(waits).toHaveLength(20);
    expect(Math.max(...waits)).toBe(400);
  });

  test("a flush silences at once what sounds and what waits; what is said afterwards sounds at once", async () => {
    const { clock, speech, log } = setUp();
    for (const word of ["hello", "hello", "you", "there"]) speech.say(word);
    await clock.sleepUntil(500);
    expect(speech.flush()).toBe("hello you there");
    speech.say("sorry");
    await speech.drained();
    expect(log).toEqual([
      "0 hello",
      "350 end of hello",
      "350 hello",
      "500 cut hello",
      "500 sorry",
      "500 cut you",
      "850 end of sorry",
    ]);
  });

  test("a flush interrupts the voice in mid-phrase", async () => {
    const aborted: string[] = [];
    const voice: Voice = {
      name: "slow voice",
      synthesize: (text, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            aborted.push(text);
            reject(signal.reason);
          });
        }),
      close: async () => {},
    };
    const { speech, log } = setUp({ voice });
    speech.say("never");
    await new Promise(setImmediate);
    speech.flush();
    await speech.drained();
    expect(aborted).toEqual(["never"]);
    expect(log).toEqual([]);
  });

  test("32 phrases may wait; beyond that the oldest goes, counted", async () => {
    const { speech, log } = setUp();
    for (let n = 0; n < 50; n++) speech.say(`${n}`);
    await speech.drained();
    // The first is with the voice already, so it stays.
    expect(speech.dropped).toBe(17);
    const said = log.filter((line) => !line.includes("end of")).map((line) => Number(line.split(" ")[1]));
    expect(said).toEqual([0, ...Array.from({ length: 32 }, (_, i) => 18 + i)]);
  });

  test("a phrase that the voice cannot say is reported and the next is said", async () => {
    const inner = new FakeVoice();
    const voice: Voice = {
      ...inner,
      name: "choosy",
      synthesize: (text, signal) =>
        text === "bad" ? Promise.reject(new Error("cannot")) : inner.synthesize(text, signal),
      close: async () => {},
    };
    const { speech, log } = setUp({ voice });
    speech.say("bad");
    speech.say("you");
    await speech.drained();
    expect(log).toEqual(["failed: cannot", "0 you", "250 end of you"]);
  });

  test("a voice whose program is missing ends it", async () => {
    const fault = new RuntimeError("missing-program", { part: "voice", problem: "cannot start espeak-ng" });
    const voice: Voice = { name: "none", synthesize: () => Promise.reject(fault), close: async () => {} };
    const { speech } = setUp({ voice });
    speech.say("hello");
    await expect(speech.drained()).rejects.toBe(fault);
    expect(() => speech.say("again")).toThrow(fault);
  });

  test("a speaker that breaks ends it", async () => {
    const fault = new RuntimeError("output-failed", { part: "speaker", problem: "disk full" });
    const broken = { started: Promise.resolve(null), finished: Promise.reject(fault) };
    broken.finished.catch(() => {});
    const speaker: Speaker = {
      name: "broken",
      play: () => broken,
      flush: () => {},
      close: async () => {},
      discard: async () => {},
    };
    const { speech } = setUp({ speaker: () => speaker });
    speech.say("hello");
    await expect(speech.drained()).rejects.toBe(fault);
  });
});
