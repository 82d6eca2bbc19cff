import { describe, expect, test } from "vitest";
import {
  type CountingTruth,
  matchInOrder,
  numbersIn,
  scoreCounting,
  summarizeCounting,
} from "../../../src/cli/eval/counting.ts";

const threeSquats: CountingTruth = {
  accept: [3, 3],
  completionsS: [3, 6, 9],
  durationS: 10,
  negative: false,
};
const emptyRoom: CountingTruth = { accept: [0, 0], completionsS: [], durationS: 30, negative: true };

describe("numbersIn", () => {
  test.each([
    [" 3", [3]],
    [" 12.", [12]],
    [" 4 breathe 5", [4, 5]],
    [" one", []],
    [" 1.5 s", []],
    ["", []],
  ])("of %j are %j", (text, numbers) => {
    expect(numbersIn(text)).toEqual(numbers);
  });
});

describe("matchInOrder", () => {
  test("keeps to the window", () => {
    expect(matchInOrder([2.56], [3])).toHaveLength(1);
    expect(matchInOrder([2.54], [3])).toEqual([]);
    expect(matchInOrder([4.59], [3])).toHaveLength(1);
    expect(matchInOrder([4.61], [3])).toEqual([]);
  });

  test("one number takes one completion", () => {
    // 3.5 could go with 3.0 or 3.2; only one of the two is taken, the nearer.
    expect(matchInOrder([3.5], [3, 3.2])).toEqual([3.5 - 3.2]);
    expect(matchInOrder([3.5, 3.6], [3])).toEqual([0.5]);
  });

  test("prefers more matches to smaller delays", () => {
    // Greedy would give 1.2 to the completion at 1.0 (delay 0.2) and leave 2.5 to none: 0.1 before it is out of reach.
    const delays = matchInOrder([1.2, 2.5], [0, 1]);
    expect(delays).toEqual([1.2, 1.5]);
  });

  test("never crosses", () => {
    expect(matchInOrder([5, 1], [1, 5])).toHaveLength(1);
  });
});

describe("scoreCounting", () => {
  test("a perfect session", () => {
    const spoken = [3.4, 6.4, 9.4].map((timeS, i) => ({ timeS, value: i + 1 }));
    const score = scoreCounting(spoken, threeSquats);
    expect(score).toMatchObject({ said: 3, truth: 3, exact: true, within1: true, relativeError: 0 });
    expect(score.delaysS.map((s) => s.toFixed(2))).toEqual(["0.40", "0.40", "0.40"]);
    expect([score.unmatchedSpoken, score.unmatchedCompletions]).toEqual([0, 0]);
  });

  test("silence is 0 and not within 1, even for a single repetition", () => {
    const one = { ...threeSquats, accept: [1, 1] as const, completionsS: [3] };
    expect(scoreCounting([], one)).toMatchObject({ said: 0, exact: false, within1: false, relativeError: 1 });
  });

  test("the last number must come after the penultimate completion", () => {
    const early = [
      { timeS: 3.2, value: 1 },
      { timeS: 5.9, value: 2 },
    ];
    expect(scoreCounting(early, threeSquats)).toMatchObject({ said: 2, within1: false });
    const after = [
      { timeS: 3.2, value: 1 },
      { timeS: 6.1, value: 2 },
    ];
    expect(scoreCounting(after, threeSquats)).toMatchObject({ said: 2, within1: true, relativeError: 1 / 3 });
  });

  test("the nearest accepted count is the truth", () => {
    const wide = { ...threeSquats, accept: [5, 6] as const };
    const say = (value: number) => scoreCounting([{ timeS: 9.5, value }], wide);
    expect(say(7)).toMatchObject({ truth: 6, exact: false, relativeError: 1 / 6 });
    expect(say(5)).toMatchObject({ truth: 5, exact: true });
    expect(say(4)).toMatchObject({ truth: 5, within1: true });
    expect(say(3)).toMatchObject({ truth: 5, within1: false });
  });
});

test("summarizeCounting, worked by hand", () => {
  const clip = (truth: CountingTruth, spoken: [number, number][]) => {
    const numbers = spoken.map(([timeS, value]) => ({ timeS, value }));
    return { truth, score: scoreCounting(numbers, truth) };
  };
  const summary = summarizeCounting([
    clip(threeSquats, [
      [3.25, 1],
      [6.5, 2],
      [9.75, 3],
    ]),
    // Two of three, and one number at 8.0 that belongs to nothing (9 - 8.0 > 0.45, 8.0 - 6 > 1.6).
    clip(threeSquats, [
      [3.5, 1],
      [6.5, 2],
      [8, 5],
    ]),
    clip(emptyRoom, [[12, 1]]),
    clip(emptyRoom, []),
  ]);
  expect(summary).toEqual({
    exerciseClips: 2,
    mae: (0 + 2 / 3) / 2,
    within1: 0.5,
    exact: 0.5,
    completions: 6,
    matched: 5,
    unmatchedSpoken: 1,
    // 0.25 0.5 0.5 0.5 0.75
    delayS: { median: 0.5, p90: 0.75 },
    negativeClips: 2,
    negativeMinutes: 1,
    falseCounts: 1,
    falseCountsPerMinute: 1,
  });
});

test("a folder without exercise or without empty clips leaves the shares open", () => {
  expect(summarizeCounting([])).toMatchObject({
    mae: null,
    exact: null,
    delayS: null,
    falseCountsPerMinute: null,
  });
});
