import { describe, expect, test } from "vitest";
import { joinPauses, scoreGivingWay, summarizeGivingWay } from "../../../src/cli/eval/giving-way.ts";

/** The model speaks from 1 s to 20.9 s in phrases of 1.9 s with pauses of 0.1 s, unless it breaks off at `endS`. */
function speakingUntil(endS: number) {
  const spans = [];
  for (let startS = 1; startS < Math.min(endS, 21); startS += 2) {
    spans.push({ startS, endS: Math.min(startS + 1.9, endS) });
  }
  return spans;
}
const never = Number.POSITIVE_INFINITY;
const clip = { clipStartS: 4, clipEndS: 14, undisturbed: speakingUntil(never) };

describe("a person speaks at 5.2 s", () => {
  const score = (endS: number, windowS = 0.4) =>
    scoreGivingWay({ ...clip, spans: speakingUntil(endS), onsetS: 5.2 }, windowS);

  test("silent in time", () => {
    const { outcome, delayS } = score(5.5);
    expect(outcome).toBe("right");
    expect(delayS).toBeCloseTo(0.3, 9);
  });

  test("silent too late for 0.4 s, in time for 1.0 s", () => {
    expect(score(5.9).outcome).toBe("late");
    expect(score(5.9, 1).outcome).toBe("right");
  });

  test("cut before the onset is false", () => {
    expect(score(5.1)).toEqual({ outcome: "false", delayS: null });
    expect(score(4.6)).toEqual({ outcome: "false", delayS: null });
  });

  test("an onset between two phrases: silent from the first on is in time", () => {
    const trial = { ...clip, spans: speakingUntil(4.9), onsetS: 4.97 };
    expect(scoreGivingWay(trial, 0.4)).toEqual({ outcome: "right", delayS: 0 });
    expect(scoreGivingWay({ ...trial, onsetS: 5.2 }, 0.4).outcome).toBe("false");
  });

  test("goes on speaking to the end", () => {
    expect(score(never)).toEqual({ outcome: "missed", delayS: null });
    expect(score(20.5).outcome).toBe("missed");
  });

  test("a pause of 0.8 s is not silence", () => {
    const spans = [...speakingUntil(5.4), { startS: 6.2, endS: 20.9 }];
    expect(scoreGivingWay({ ...clip, spans, onsetS: 5.2 }, 0.4).outcome).toBe("missed");
  });

  test("had nothing to say, or had said it all", () => {
    const short = [{ startS: 1, endS: 4.5 }];
    expect(scoreGivingWay({ ...clip, spans: [], onsetS: 5.2 }, 0.4).outcome).toBe("not speaking");
    const trial = { ...clip, spans: short, onsetS: 5.2, undisturbed: short };
    expect(scoreGivingWay(trial, 0.4).outcome).toBe("not speaking");
  });
});

describe("nobody speaks", () => {
  const score = (endS: number) =>
    scoreGivingWay({ ...clip, spans: speakingUntil(endS), onsetS: null }, 0.4).outcome;

  test("going on is right, breaking off during the clip is false, after it does not count", () => {
    expect(score(never)).toBe("right");
    expect(score(7)).toBe("false");
    expect(score(15)).toBe("right");
  });
});

test("joinPauses joins below one second", () => {
  const spans = [
    { startS: 0, endS: 1 },
    { startS: 1.9, endS: 3 },
    { startS: 4, endS: 5 },
  ];
  expect(joinPauses(spans)).toEqual([
    { startS: 0, endS: 3 },
    { startS: 4, endS: 5 },
  ]);
});

test("shares are over the clips during which the model spoke", () => {
  const summary = summarizeGivingWay(
    [
      { hasSpeech: true, score: { outcome: "right", delayS: 0.2 } },
      { hasSpeech: true, score: { outcome: "late", delayS: 0.6 } },
      { hasSpeech: true, score: { outcome: "not speaking", delayS: null } },
      { hasSpeech: false, score: { outcome: "right", delayS: null } },
      { hasSpeech: false, score: { outcome: "false", delayS: null } },
      { hasSpeech: false, score: { outcome: "right", delayS: null } },
      { hasSpeech: false, score: { outcome: "right", delayS: null } },
    ],
    0.4,
  );
  expect(summary).toMatchObject({
    speechClips: 2,
    yieldedShare: 0.5,
    otherClips: 4,
    falseShare: 0.25,
    notSpeaking: 1,
  });
});
