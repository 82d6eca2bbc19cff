import { expect, it } from "vitest";
import { History } from "../../../../models/native/gpu/history.ts";
import { TINY_CONFIG } from "../random-checkpoint.ts";

const { perceptionTurns, toldTokens, saidTokens } = TINY_CONFIG.memory;

function block(turn: number, told: readonly number[] = []) {
  return { turn, pcm: Float32Array.of(turn), video: Int8Array.of(1), told };
}

it("keeps the last window whole and of older turns only text", () => {
  const history = new History(TINY_CONFIG);
  for (let turn = 0; turn < 50; turn++)
    history.add(block(turn, turn === 3 ? [7, 8] : []), turn === 10 ? [9] : []);
  const { turns } = history;
  expect(turns.map((past) => past.block.turn)).toEqual([3, 10, 45, 46, 47, 48, 49]);
  expect(turns[0]!.block).toEqual({ turn: 3, pcm: null, video: null, told: [7, 8] });
  expect(turns[1]!.said).toEqual([9]);
  expect(turns.slice(2).every((past) => past.block.pcm?.[0] === past.block.turn)).toBe(true);
});

it("forgets text that its ring has replaced", () => {
  const history = new History(TINY_CONFIG);
  for (let turn = 0; turn < 200; turn++) history.add(block(turn, [turn, turn]), turn % 2 ? [turn] : []);
  const { turns } = history;
  const told = turns.flatMap((past) => past.block.told);
  const said = turns.flatMap((past) => past.said);
  expect(told.slice(-toldTokens)[0]).toBe(200 - toldTokens / 2);
  expect(said.length).toBeGreaterThanOrEqual(saidTokens);
  // One turn may straddle the end of a ring.
  expect(turns.length).toBeLessThanOrEqual(Math.max(perceptionTurns, toldTokens, 2 * saidTokens) + 1);
});

it("copies what it is lent", () => {
  const history = new History(TINY_CONFIG);
  const lent = block(0);
  history.add(lent, []);
  lent.pcm[0] = 99;
  expect(history.turns[0]!.block.pcm![0]).toBe(0);
});
