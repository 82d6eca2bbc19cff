import { describe, expect, test } from "vitest";
import { CancelledMicrophone } from "../../../devices/echo/cancelled-microphone.ts";
import { ReferenceTrack } from "../../../devices/echo/reference-track.ts";
import { TappedSpeaker } from "../../../devices/echo/tapped-speaker.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import { babble, powerDb } from "./babble.ts";
import { VirtualRoom } from "./virtual-room.ts";

const RATE_HZ = 16_000;

interface Setting {
  delayMs?: number;
  person?: (n: number) => number;
  /** False: the canceller is told of nothing that is played. */
  tapped?: boolean;
}

/** Twelve seconds in which a speaker plays for the first eight: what the microphone hears, and what is left of it. */
async function session({ delayMs = 60, person, tapped = true }: Setting = {}) {
  const clock = new VirtualClock();
  const reference = new ReferenceTrack(RATE_HZ);
  const room = new VirtualRoom(clock, {
    sampleRateHz: RATE_HZ,
    delayMs,
    gain: 0.5,
    lengthMs: 12_000,
    ...(person ? { person } : {}),
  });
  const raw = new Float32Array(12 * RATE_HZ);
  const clean = new Float32Array(12 * RATE_HZ);
  const write = (into: Float32Array, captureMs: number, samples: Float32Array) => {
    const at = Math.round((captureMs / 1000) * RATE_HZ);
    for (let i = Math.max(0, -at); i < samples.length && at + i < into.length; i++)
      into[at + i] = samples[i]!;
  };
  const signal = new AbortController().signal;
  const open: typeof room.microphone.open = async function* (...args) {
    for await (const item of room.microphone.open(...args)) {
      if (item.kind === "audio") write(raw, item.captureMs, item.samples);
      yield item;
    }
  };
  const microphone = new CancelledMicrophone({ ...room.microphone, open }, reference);
  const speaker = tapped ? new TappedSpeaker(room.speaker, reference) : room.speaker;
  clock.start();
  const playing = (async () => {
    for (let phrase = 0; phrase < 8; phrase++) {
      await clock.sleepUntil(phrase * 1000);
      speaker.play("", { sampleRateHz: RATE_HZ, samples: babble(0.9, phrase) });
    }
  })();
  let enhancementDb: number | null = null;
  for await (const item of microphone.open(clock, signal)) {
    if (item.kind === "audio") write(clean, item.captureMs, item.samples);
    if (item.kind === "audio" && item.captureMs < 8000) ({ enhancementDb } = microphone);
  }
  await playing;
  return { raw, clean, enhancementDb };
}

const between = (samples: Float32Array, fromS: number, toS: number) =>
  samples.subarray(fromS * RATE_HZ, toS * RATE_HZ);

describe("a microphone beside its speaker", () => {
  test.each([4, 60, 180])("hears next to nothing of it, %d ms away", async (delayMs) => {
    const { raw, clean, enhancementDb } = await session({ delayMs });
    expect(powerDb(between(raw, 3, 8))).toBeGreaterThan(-35);
    expect(powerDb(between(raw, 3, 8)) - powerDb(between(clean, 3, 8))).toBeGreaterThan(20);
    expect(enhancementDb).toBeGreaterThan(20);
  });

  test("hears it all if nobody says what is played", async () => {
    const { raw, clean, enhancementDb } = await session({ tapped: false });
    expect(Math.abs(powerDb(between(raw, 3, 8)) - powerDb(between(clean, 3, 8)))).toBeLessThan(3);
    expect(enhancementDb).toBeNull();
  });

  test("hears a person as loud as they are, when they are, and while it speaks too", async () => {
    const voice = babble(12, 99);
    const speaks = (n: number) => (n >= 5 * RATE_HZ && n < 6 * RATE_HZ) || n >= 9 * RATE_HZ;
    const { clean } = await session({ person: (n) => (speaks(n) ? voice[n]! : 0) });
    const alone = between(clean, 9.5, 11.5);
    const own = between(voice, 9.5, 11.5);
    expect(Math.abs(powerDb(alone) - powerDb(own))).toBeLessThan(1.5);
    let lag = 0;
    let largest = 0;
    for (let candidate = -80; candidate <= 80; candidate++) {
      let sum = 0;
      for (let i = 100; i < own.length - 100; i++) sum += own[i]! * alone[i + candidate]!;
      if (sum > largest) [lag, largest] = [candidate, sum];
    }
    expect(Math.abs(lag)).toBeLessThanOrEqual(8); // half a millisecond
    expect(powerDb(between(clean, 5, 6))).toBeGreaterThan(powerDb(between(clean, 6.5, 7.5)) + 12);
  });
});

describe("a reference track", () => {
  const tone = (count: number, level = 0.5) => ({
    sampleRateHz: RATE_HZ,
    samples: new Float32Array(count).fill(level),
  });

  test("gives back what was played, where it sounded, mixed, and silence elsewhere", () => {
    const track = new ReferenceTrack(RATE_HZ);
    track.play(tone(1600), 1000);
    track.play(tone(1600, 0.25), 1050);
    expect(track.read(999, 16)).toEqual(new Float32Array(16));
    expect([...track.read(1000, 2)]).toEqual([0.5, 0.5]);
    expect([...track.read(1060, 2)]).toEqual([0.75, 0.75]);
    expect([...track.read(1120, 2)]).toEqual([0.25, 0.25]);
    expect([...track.read(1150, 2)]).toEqual([0, 0]);
  });

  test("is silent from a flush on", () => {
    const track = new ReferenceTrack(RATE_HZ);
    track.play(tone(16_000), 1000);
    track.silenceFrom(1300);
    expect([...track.read(1299.9375, 2)]).toEqual([0.5, 0]);
  });

  test("forgets what is older than its length, and keeps the rest", () => {
    const track = new ReferenceTrack(RATE_HZ);
    for (let second = 0; second < 20; second++) track.play(tone(RATE_HZ, second + 1), second * 1000);
    expect(track.read(15_500, 1)[0]).toBe(0);
    expect(track.read(16_500, 1)[0]).toBe(17);
    expect(track.read(19_999, 1)[0]).toBe(20);
  });

  test("brings sound of another rate to its own", () => {
    const track = new ReferenceTrack(RATE_HZ);
    const samples = Float32Array.from({ length: 22_050 }, (_, n) =>
      Math.sin((2 * Math.PI * 440 * n) / 22_050),
    );
    track.play({ sampleRateHz: 22_050, samples }, 500);
    const there = track.read(750, 800);
    for (const [n, sample] of there.entries()) {
      expect(Math.abs(sample - Math.sin(2 * Math.PI * 440 * (0.25 + n / RATE_HZ)))).toBeLessThan(1e-3);
    }
  });
});
