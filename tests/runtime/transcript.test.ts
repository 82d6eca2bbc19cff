import { expect, test } from "vitest";
import { StepTimes } from "../../src/runtime/step-times.ts";
import { Transcript } from "../../src/runtime/transcript.ts";
import { seededRandom } from "../timeline/random.ts";

test("a whole phrase is heard whole, a cut one as far as its last whole word", () => {
  const transcript = new Transcript();
  const played = (text: string, endMs: number, whole: boolean) => ({ text, startMs: 1000, endMs, whole });
  transcript.add(played("one two three", 2300, true), 1300);
  // 13 characters in 1300 ms: after 800 ms "one two" is out, "three" is not.
  transcript.add(played("one two three", 1800, false), 1300);
  expect(transcript.add(played("one", 1100, false), 300)).toBeNull();
  expect(transcript.add(played("one", 1000, false), 300)).toBeNull();
  expect(transcript.phrases).toEqual([
    { startMs: 1000, endMs: 2300, text: "one two three" },
    { startMs: 1000, endMs: 1800, text: "one two" },
  ]);
});

test("the transcript keeps the last thousand phrases", () => {
  const transcript = new Transcript();
  for (let n = 0; n < 2500; n++) transcript.add({ text: `${n}`, startMs: n, endMs: n + 1, whole: true }, 1);
  expect(transcript.phrases.length).toBe(1000);
  expect(transcript.phrases[0]!.text).toBe("1500");
});

test("step times: quantiles agree with sorting all of them", () => {
  const random = seededRandom(11);
  const times = Array.from({ length: 20_000 }, () => 20 * random() ** 3 + (random() < 0.001 ? 1500 : 0));
  const stepTimes = new StepTimes();
  for (const time of times) stepTimes.add(time);
  const sorted = times.toSorted((a, b) => a - b);
  const summary = stepTimes.summary();
  for (const [name, share] of [
    ["p50", 0.5],
    ["p99", 0.99],
  ] as const) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
    expect(summary[name]).toBeGreaterThanOrEqual(exact);
    expect(summary[name] - exact).toBeLessThanOrEqual(0.05);
  }
  expect(summary.max).toBe(sorted.at(-1));
  const slow = new StepTimes();
  for (const time of [1200, 1500]) slow.add(time);
  expect(slow.summary()).toEqual({ p50: 1500, p99: 1500, p999: 1500, max: 1500 });
  expect(new StepTimes().summary()).toEqual({ p50: 0, p99: 0, p999: 0, max: 0 });
});
