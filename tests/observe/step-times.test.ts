import { describe, expect, test } from "vitest";
import { percentile, StepHistogram } from "../../src/observe/step-times.ts";

describe("percentile", () => {
  test("takes the nearest rank", () => {
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2);
    expect(percentile([1, 2, 3], 0.5)).toBe(2);
    expect(percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9)).toBe(9);
    expect(percentile([7], 0.01)).toBe(7);
    expect(percentile([], 0.5)).toBe(0);
  });
});

describe("StepHistogram", () => {
  test("agrees with the sorted list to a bucket", () => {
    const histogram = new StepHistogram();
    const times = Array.from({ length: 997 }, (_, i) => ((i * 7919) % 997) / 7);
    for (const ms of times) histogram.add(ms);
    const sorted = [...times].sort((a, b) => a - b);
    for (const share of [0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1]) {
      const error = histogram.percentileMs(share) - percentile(sorted, share);
      expect(error).toBeGreaterThanOrEqual(0);
      expect(error).toBeLessThanOrEqual(0.05 + 1e-9);
    }
    expect(histogram.summary().max).toBeCloseTo(Math.max(...times), 2);
  });

  test("a step beyond the last bucket is told as it is", () => {
    const histogram = new StepHistogram();
    histogram.add(1);
    histogram.add(5000);
    expect(histogram.summary()).toEqual({ p50: 1.05, p99: 5000, p999: 5000, max: 5000 });
  });

  test("without steps everything is 0", () => {
    expect(new StepHistogram().summary()).toEqual({ p50: 0, p99: 0, p999: 0, max: 0 });
  });
});
