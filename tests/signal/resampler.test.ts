import { describe, expect, test } from "vitest";
import { Resampler } from "../../src/signal/resampler.ts";
import { seededRandom } from "../timeline/random.ts";

function tone(hz: number, rateHz: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rateHz));
}

function batch(fromHz: number, toHz: number, samples: Float32Array): Float32Array {
  const resampler = new Resampler(fromHz, toHz);
  const [body, tail] = [resampler.push(samples), resampler.flush()];
  return Float32Array.from([...body, ...tail]);
}

/** Largest difference away from the two ends, where the filter runs into the silence around the signal. */
function worst(a: Float32Array, b: Float32Array, marginSamples: number): number {
  let error = 0;
  for (let i = marginSamples; i < a.length - marginSamples; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    // Kept unless it is no larger, so that NaN is the worst of all.
    if (!(difference <= error)) error = difference;
  }
  return error;
}

const RATES: [number, number][] = [
  [48_000, 16_000],
  [44_100, 16_000],
  [16_000, 24_000],
  [8_000, 16_000],
  [22_050, 16_000],
  [11_025, 24_000],
];

describe.each(RATES)("%i Hz to %i Hz", (fromHz, toHz) => {
  test("a tone in the pass band comes out as the tone computed at the new rate, in place", () => {
    for (const hz of [100, 1000, 0.35 * Math.min(fromHz, toHz)]) {
      const out = batch(fromHz, toHz, tone(hz, fromHz, fromHz));
      expect(out.length).toBe(toHz);
      // 0.5 full scale: 5e-4 is -60 dB below it.
      expect(worst(out, tone(hz, toHz, toHz), 200)).toBeLessThan(5e-4);
    }
  });

  test("what the new rate cannot carry is 60 dB down", () => {
    if (toHz >= fromHz) return;
    const out = batch(fromHz, toHz, tone(0.5 * toHz * 1.15, fromHz, fromHz));
    expect(worst(out, new Float32Array(out.length), 200)).toBeLessThan(0.5e-3);
  });

  test("streaming equals batch, however the input is cut", () => {
    const random = seededRandom(fromHz + toHz);
    const samples = Float32Array.from({ length: 5000 }, () => random() - 0.5);
    const whole = batch(fromHz, toHz, samples);
    const resampler = new Resampler(fromHz, toHz);
    const parts: number[] = [];
    for (let at = 0; at < samples.length; ) {
      const count = Math.floor(random() * 400);
      parts.push(...resampler.push(samples.subarray(at, at + count)));
      at += count;
    }
    parts.push(...resampler.flush());
    expect(parts).toEqual([...whole]);
  });
});

test("a constant passes unchanged at every phase", () => {
  const out = batch(44_100, 16_000, new Float32Array(44_100).fill(0.25));
  expect(worst(out, new Float32Array(out.length).fill(0.25), 200)).toBeLessThan(1e-6);
});

test("refuses a rate that is no rate", () => {
  expect(() => new Resampler(0, 16_000)).toThrow(/sample rate of 0 Hz/);
  expect(() => new Resampler(44_100, 16_000.5)).toThrow(/16000.5/);
});
