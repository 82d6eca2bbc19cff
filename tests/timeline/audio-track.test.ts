import { describe, expect, test } from "vitest";
import { AudioTrack } from "../../src/timeline/audio-track.ts";
import { seededRandom } from "./random.ts";

const RATE_HZ = 16_000;
/** Samples of one micro-turn. */
const TURN = 3200;

/** Samples that say where they belong: sample n of the session has this value, never 0. */
function valueAt(sample: number): number {
  return Math.fround(((sample % 9973) + 1) / 10_000);
}

function chunk(fromSample: number, count: number) {
  const samples = Float32Array.from({ length: count }, (_, i) => valueAt(fromSample + i));
  return { captureMs: (fromSample / RATE_HZ) * 1000, sampleRateHz: RATE_HZ, samples };
}

describe("audio track", () => {
  test("random chunks with holes: every sample heard in its place, every hole counted", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const track = new AudioTrack(RATE_HZ);
      const expected = new Float32Array(10 * TURN);
      let holes = 0;
      let missing = 0;
      for (let at = 0; at < expected.length; ) {
        // A hole that is longer than the jitter tolerance of 10 ms, or none.
        const hole = random() < 0.2 && at > 0 ? 200 + Math.floor(random() * 4000) : 0;
        const begin = Math.min(at + hole, expected.length);
        if (begin > at) {
          holes++;
          missing += begin - at;
        }
        const count = Math.min(1 + Math.floor(random() * 900), expected.length - begin);
        if (count > 0) track.write(chunk(begin, count));
        for (let i = begin; i < begin + count; i++) expected[i] = valueAt(i);
        at = begin + count;
      }
      for (let turn = 0; turn < 10; turn++) {
        const wrong = track.take(TURN).findIndex((sample, i) => sample !== expected[turn * TURN + i]);
        expect(wrong, `seed ${seed}, micro-turn ${turn}`).toBe(-1);
      }
      expect(track.gaps.totalMs).toBeCloseTo((missing / RATE_HZ) * 1000, 6);
      expect(track.gaps.count).toBe(holes);
    }
  });

  test("stamps that jitter move no sample", () => {
    const random = seededRandom(5);
    const track = new AudioTrack(RATE_HZ);
    for (let at = 0; at < 5 * TURN; at += 320) {
      const exact = chunk(at, 320);
      track.write({ ...exact, captureMs: Math.max(0, exact.captureMs + 8 * (random() - 0.5)) });
    }
    const heard = track.take(5 * TURN);
    // The first chunk's own jitter places the stretch; from there on samples follow each other without a seam.
    const first = heard.findIndex((sample) => sample !== 0);
    const moved = heard.findIndex((sample, i) => i >= first && i < 4 * TURN && sample !== valueAt(i - first));
    expect(moved).toBe(-1);
    expect(track.gaps.count).toBeLessThanOrEqual(1);
  });

  test("sound that comes after its interval was handed over is silence there and is not heard later", () => {
    const track = new AudioTrack(RATE_HZ);
    track.write(chunk(0, TURN - 100));
    expect(track.take(TURN).slice(-100)).toEqual(new Float32Array(100));
    expect(track.gaps).toEqual({ count: 1, totalMs: 6.25 });
    track.write(chunk(TURN - 100, 500));
    const next = track.take(TURN);
    expect(next[0]).toBe(valueAt(TURN));
    expect(next[399]).toBe(valueAt(TURN + 399));
    expect(next[400]).toBe(0);
  });

  test("a chunk that overlaps what is there loses that part", () => {
    const track = new AudioTrack(RATE_HZ);
    const level = (fromSample: number, value: number) => ({
      ...chunk(fromSample, 1000),
      samples: new Float32Array(1000).fill(value),
    });
    track.write(level(0, 0.25));
    track.write(level(500, 0.5));
    const heard = track.take(TURN);
    expect([heard[499], heard[500], heard[999], heard[1000], heard[1499], heard[1500]]).toEqual([
      0.25, 0.25, 0.25, 0.5, 0.5, 0,
    ]);
  });

  test("after its end silence is no gap", () => {
    const track = new AudioTrack(RATE_HZ);
    track.write(chunk(0, TURN));
    track.end();
    track.take(TURN);
    expect(track.take(TURN)).toEqual(new Float32Array(TURN));
    expect(track.gaps).toEqual({ count: 0, totalMs: 0 });
  });

  test("holds 30 s for a loop that stands, then loses the oldest and counts it", () => {
    const track = new AudioTrack(RATE_HZ);
    const total = 40 * RATE_HZ;
    for (let at = 0; at < total; at += RATE_HZ) track.write(chunk(at, RATE_HZ));
    const heard = track.take(total);
    expect(heard[10 * RATE_HZ - 1]).toBe(0);
    expect(heard[10 * RATE_HZ]).toBe(valueAt(10 * RATE_HZ));
    expect(heard[total - 1]).toBe(valueAt(total - 1));
    expect(track.gaps.totalMs).toBe(10_000);
  });

  test("sound at another rate is heard at the same time", () => {
    const track = new AudioTrack(RATE_HZ);
    const fromHz = 44_100;
    const click = new Float32Array(fromHz);
    click[22_050] = 1; // at 500 ms
    for (let at = 0; at < click.length; at += 441) {
      const samples = click.subarray(at, at + 441);
      track.write({ captureMs: (at / fromHz) * 1000, sampleRateHz: fromHz, samples });
    }
    track.end();
    const heard = track.take(RATE_HZ);
    const loudest = heard.reduce((best, sample, i) => (sample > heard[best]! ? i : best), 0);
    expect(loudest).toBe(8000);
    expect(track.gaps.count).toBe(0);
  });

  test("a capture clock that runs away is followed by gaps, never by a growing shift", () => {
    const track = new AudioTrack(RATE_HZ);
    // One per cent slow: each 20 ms chunk is stamped 20.2 ms after the last.
    for (let n = 0; n < 500; n++) {
      const samples = new Float32Array(320).fill(n + 1);
      track.write({ captureMs: n * 20.2, sampleRateHz: RATE_HZ, samples });
      expect(Math.abs(track.misalignmentMs)).toBeLessThanOrEqual(10);
    }
    const heard = track.take(10 * RATE_HZ);
    for (const n of [100, 250, 480]) {
      const placeMs = (heard.indexOf(n + 1) / RATE_HZ) * 1000;
      expect(Math.abs(placeMs - n * 20.2)).toBeLessThanOrEqual(10.1);
    }
    expect(track.gaps.totalMs).toBeGreaterThan(80);
  });
});
