import { describe, expect, test } from "vitest";
import { PhraseSound } from "../../../devices/speaker/phrase-sound.ts";

const FROM_HZ = 24_000;
const TO_HZ = 48_000;
const PIECE = 1920;

const tone = Float32Array.from({ length: 4 * PIECE }, (_, i) => Math.sin((2 * Math.PI * 440 * i) / FROM_HZ));

/** All of a sound, in the portions in which a speaker takes it. */
function taken(sound: PhraseSound): number[] {
  const samples: number[] = [];
  while (!sound.isOver) samples.push(...sound.take(100, 1));
  return samples;
}

/** The tone in four pieces, of which each is there before the one before it has been taken. */
function inPieces(isStream: boolean): number[] {
  const samples: number[] = [];
  let before: PhraseSound | undefined;
  for (let n = 0; n < 4; n++) {
    const piece = { sampleRateHz: FROM_HZ, samples: tone.slice(PIECE * n, PIECE * (n + 1)), isStream };
    const sound = new PhraseSound(piece, TO_HZ, before);
    if (before) samples.push(...taken(before));
    before = sound;
  }
  return [...samples, ...taken(before!)];
}

/** The largest step in the slope of a sound: a tone has none to speak of. */
function sharpest(samples: readonly number[]): number {
  let most = 0;
  for (let i = 2; i < samples.length; i++) {
    most = Math.max(most, Math.abs(samples[i]! - 2 * samples[i - 1]! + samples[i - 2]!));
  }
  return most;
}

describe("pieces of a stream", () => {
  test("sound as the whole does, to the sample", () => {
    const whole = taken(new PhraseSound({ sampleRateHz: FROM_HZ, samples: tone }, TO_HZ));
    expect(inPieces(true)).toEqual(whole);
  });

  test("have no seam, where phrases have", () => {
    const inside = (samples: number[]) => samples.slice(200, -200);
    expect(sharpest(inside(inPieces(true)))).toBeLessThan(0.005);
    expect(sharpest(inside(inPieces(false)))).toBeGreaterThan(0.02);
  });

  test("do not carry on from a piece that has ended, or is of another rate", () => {
    const piece = { sampleRateHz: FROM_HZ, samples: tone.slice(0, PIECE), isStream: true };
    const first = new PhraseSound(piece, TO_HZ);
    expect(taken(first)).toHaveLength(2 * PIECE);
    expect(taken(new PhraseSound(piece, TO_HZ, first))).toHaveLength(2 * PIECE);
    const waiting = new PhraseSound(piece, TO_HZ);
    const other = new PhraseSound({ ...piece, sampleRateHz: 16_000 }, TO_HZ, waiting);
    expect(taken(other)).toHaveLength(3 * PIECE);
    expect(taken(waiting)).toHaveLength(2 * PIECE);
  });
});
