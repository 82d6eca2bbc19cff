import { describe, expect, test } from "vitest";
import { LADDER, Ladder } from "../../src/runtime/ladder.ts";

const ALL = LADDER.map((rung) => rung.saving);

/** Steps until a move comes; returns it with the number of steps that took. */
function stepsToMove(ladder: Ladder, late: boolean, limit = 5000) {
  for (let steps = 1; steps <= limit; steps++) {
    const move = ladder.step(late);
    if (move) return { steps, ...move };
  }
  return null;
}

describe("ladder", () => {
  test("goes down rung by rung while steps are late, in the written order, and stops at the last", () => {
    const ladder = new Ladder([...ALL].reverse(), 200);
    for (const saving of ALL) {
      expect(stepsToMove(ladder, true)).toMatchObject({ steps: 2, direction: "down", saving });
    }
    expect(ladder.savings).toEqual(ALL);
    expect(stepsToMove(ladder, true)).toBeNull();
  });

  test("one late step now and then moves nothing", () => {
    const ladder = new Ladder(ALL, 200);
    const moves = Array.from({ length: 500 }, (_, step) => ladder.step(step % 11 === 0));
    expect(moves.filter((move) => move !== null)).toEqual([]);
  });

  test("climbs back after 50 steps on time, one rung at a time", () => {
    const ladder = new Ladder(ALL, 200);
    stepsToMove(ladder, true);
    stepsToMove(ladder, true);
    expect(stepsToMove(ladder, false)).toMatchObject({ steps: 50, direction: "up", saving: ALL[1] });
    expect(stepsToMove(ladder, false)).toMatchObject({ steps: 50, direction: "up", savings: [] });
    expect(stepsToMove(ladder, false)).toBeNull();
  });

  test("a late step begins the run anew", () => {
    const ladder = new Ladder(ALL, 200);
    stepsToMove(ladder, true);
    for (let step = 0; step < 49; step++) expect(ladder.step(false)).toBeNull();
    expect(ladder.step(true)).toBeNull();
    expect(stepsToMove(ladder, false)).toMatchObject({ steps: 50 });
  });

  test("a climb that does not hold doubles the run before the next", () => {
    const ladder = new Ladder(ALL, 200);
    stepsToMove(ladder, true);
    const runs: number[] = [];
    for (let round = 0; round < 8; round++) {
      runs.push(stepsToMove(ladder, false)!.steps);
      stepsToMove(ladder, true);
    }
    expect(runs).toEqual([50, 100, 200, 400, 800, 1600, 1600, 1600]);
  });

  test("takes only the rungs that are offered", () => {
    const ladder = new Ladder(["smaller-model"], 200);
    expect(stepsToMove(ladder, true)).toMatchObject({ saving: "smaller-model", savings: ["smaller-model"] });
    expect(stepsToMove(new Ladder([], 200), true)).toBeNull();
  });
});
