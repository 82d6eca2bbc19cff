import { describe, expect, test } from "vitest";
import { containsWords, scoreScenario, summarizeScenarios } from "../../../src/cli/eval/scenario.ts";

test("containsWords compares whole words, whatever the case and the punctuation", () => {
  expect(containsWords(" Breathe.", "breathe")).toBe(true);
  expect(containsWords("you did 13", "3")).toBe(false);
  expect(containsWords("you did 3, well done", "3")).toBe(true);
  expect(containsWords("1 minute 12 seconds", "12 seconds")).toBe(true);
  expect(containsWords("", "3")).toBe(false);
});

const nothing = { reps: [], due: [], answers: [], speech: [] };

describe("scoreScenario", () => {
  test("timed speech counts within 0.4 s, each phrase once", () => {
    const due = [4, 8, 12].map((timeS) => ({ timeS, text: "breathe" }));
    const spoken = [3.7, 8.5, 12.3].map((timeS) => ({ timeS, text: " breathe" }));
    expect(scoreScenario({ ...nothing, due }, spoken)).toMatchObject({ due: 3, dueRight: 2 });
    const near = [4, 4.1].map((timeS) => ({ timeS, text: "breathe" }));
    expect(scoreScenario({ ...nothing, due: near }, [{ timeS: 4, text: "breathe" }])).toMatchObject({
      dueRight: 1,
    });
  });

  test("an answer is not taken for a count", () => {
    const truth = {
      ...nothing,
      reps: [
        { timeS: 2, count: 1, optional: false },
        { timeS: 4, count: 2, optional: false },
      ],
      answers: [{ askedS: 6, text: "2", byS: 8 }],
    };
    const spoken = [
      { timeS: 2.3, text: " 1" },
      { timeS: 4.3, text: " 2" },
      { timeS: 6.8, text: " 2" },
    ];
    expect(scoreScenario(truth, spoken)).toMatchObject({ answersRight: 1, reps: { said: 2, exact: true } });
    // Without the count at 4.3 the answer must not stand in for it.
    expect(scoreScenario(truth, [spoken[0]!, spoken[2]!])).toMatchObject({
      answersRight: 1,
      reps: { said: 1, exact: false, within1: true },
    });
  });

  test("a count may come in one phrase with timed speech", () => {
    const truth = {
      ...nothing,
      reps: [{ timeS: 3.9, count: 1, optional: false }],
      due: [{ timeS: 4, text: "breathe" }],
    };
    const score = scoreScenario(truth, [{ timeS: 4.2, text: "1 breathe" }]);
    expect(score).toMatchObject({ dueRight: 1, reps: { said: 1, exact: true } });
  });

  test("what completes as the film ends may be counted or not", () => {
    const reps = [2, 4, 6].map((timeS, i) => ({ timeS, count: i + 1, optional: i === 2 }));
    const score = (said: number) =>
      scoreScenario(
        { ...nothing, reps },
        Array.from({ length: said }, (_, i) => ({ timeS: 2.3 + 2 * i, text: ` ${i + 1}` })),
      ).reps;
    expect([1, 2, 3, 4].map((said) => score(said)!.exact)).toEqual([false, true, true, false]);
    expect(scoreScenario({ ...nothing, reps: reps.slice(2) }, []).reps).toBeNull();
  });

  test("an answer that is late or wrong is not right", () => {
    const answers = [{ askedS: 6, text: "12 seconds", byS: 8 }];
    expect(scoreScenario({ ...nothing, answers }, [{ timeS: 8.1, text: "12 seconds" }]).answersRight).toBe(0);
    expect(scoreScenario({ ...nothing, answers }, [{ timeS: 7, text: "13 seconds" }]).answersRight).toBe(0);
    expect(scoreScenario({ ...nothing, answers }, [{ timeS: 5.9, text: "12 seconds" }]).answersRight).toBe(0);
  });
});

test("summarizeScenarios pools what is due and averages over the scenes that count", () => {
  const score = { reps: null, due: 0, dueRight: 0, answers: 0, answersRight: 0 };
  const counted = (said: number) => ({ said, truth: 4, exact: said === 4, within1: Math.abs(said - 4) <= 1 });
  const summary = summarizeScenarios([
    { ...score, reps: counted(4), due: 10, dueRight: 10 },
    { ...score, reps: counted(3), due: 30, dueRight: 29 },
    { ...score, answers: 4, answersRight: 3 },
  ]);
  expect(summary).toEqual({
    scenes: 3,
    countingScenes: 2,
    within1: 1,
    exact: 0.5,
    due: 40,
    dueRight: 39 / 40,
    answers: 4,
    answersRight: 0.75,
  });
});
