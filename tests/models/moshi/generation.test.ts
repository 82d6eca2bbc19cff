import { describe, expect, test } from "vitest";
import { Generation } from "../../../models/moshi/generation.ts";
import type { LanguageModelOptions } from "../../../models/moshi/language-model.ts";
import { fixtureModel } from "./fixture-model.ts";
import { describeWithFixture, expectWithin, type FixtureSet, rowOf } from "./fixtures.ts";
import { ScriptedModel } from "./scripted-model.ts";

/** Greedy runs of the original: set, file, what it was conditioned on. */
const RUNS: [string, string, (fixture: FixtureSet) => Partial<LanguageModelOptions>][] = [
  ["a/lm", "greedy", () => ({})],
  ["b/lm_hibiki", "greedy", (fixture) => ({ conditions: { sum: condition(fixture, "very_good") } })],
  [
    "b/lm_hibiki",
    "greedy_cfg3",
    (fixture) => ({
      conditions: { sum: condition(fixture, "very_good") },
      guidance: { coefficient: 3, conditions: { sum: condition(fixture, "very_bad") } },
    }),
  ],
  ["b/lm_hibiki_zero", "greedy", () => ({})],
  ["b/lm_stt", "greedy", () => ({})],
];

function condition(fixture: FixtureSet, name: string): Float32Array {
  return Float32Array.from(fixture.tensors("conditions.safetensors")(name).data);
}

describe("generation, token for token as the original", () => {
  for (const [set, file, options] of RUNS) {
    describeWithFixture(set, (fixture) => {
      test(file, async () => {
        const { config, model } = fixtureModel(fixture, () => options(fixture));
        const expected = fixture.tensors(`${file}.safetensors`);
        const generation = new Generation(model, config);
        for (let t = 0; t < 48; t++) {
          const { frame, sampled } = await generation.step(rowOf(expected("user_tokens"), t), {
            inspect: true,
          });
          expect(sampled.text).toBe(expected("sampled_text").data[t]);
          if (config.depQ > 0) expect([...sampled.audio]).toEqual([...rowOf(expected("sampled_audio"), t)]);
          expectWithin(sampled.inspected!.textLogits, rowOf(expected("text_logits"), t), 4e-5);
          expect(frame !== null).toBe(expected("returned_valid").data[t] === 1);
          if (frame) expect([...frame]).toEqual([...rowOf(expected("returned"), t)]);
        }
      });
    });
  }
});

describe("the delays", () => {
  /** 2 codebooks of its own, 3 that come in, all delays apart. */
  const LAYOUT = { nQ: 5, depQ: 2, delays: [0, 1, 3, 0, 2, 1], textCard: 1000, card: 500 };
  const made = (step: number): number[] => [10 + step, 100 + step, 200 + step];
  const heard = (step: number): number[] => [300 + step, 350 + step, 400 + step];

  /** The delayed matrix as the facts define it for training: initial up to the delay, then codes of 1 + delay before. */
  function delayed(row: number, step: number): number {
    const delay = LAYOUT.delays[row]!;
    if (step <= delay) return row === 0 ? LAYOUT.textCard : LAYOUT.card;
    // What the model makes is on the delayed time line as it is; what comes in is moved onto it.
    return row <= LAYOUT.depQ ? made(step - 1)[row]! : heard(step - delay)[row - 1 - LAYOUT.depQ]!;
  }

  test("give the network every stream's token of the right moment", async () => {
    const model = new ScriptedModel(2, (t) => ({
      text: made(t)[0]!,
      audio: Int32Array.from(made(t).slice(1)),
    }));
    const generation = new Generation(model, LAYOUT);
    for (let t = 0; t < 30; t++) {
      const { frame } = await generation.step(heard(t));
      expect([...model.inputs[t]!]).toEqual([0, 1, 2, 3, 4, 5].map((row) => delayed(row, t)));
      // Moment m is complete when the stream with the longest delay has made its token: in step m + 3.
      const moment = t - 3;
      const expected = [made(moment)[0], made(moment + 1)[1], made(moment + 3)[2]];
      expect(frame && [...frame]).toEqual(moment < 0 ? null : expected);
    }
  });

  test("begin anew after a reset", async () => {
    const model = new ScriptedModel(2, () => ({ text: 7 }));
    const generation = new Generation(model, LAYOUT);
    const first: (number[] | null)[] = [];
    const second: (number[] | null)[] = [];
    for (let t = 0; t < 6; t++) first.push([...((await generation.step(heard(t))).frame ?? [])]);
    await generation.reset();
    for (let t = 0; t < 6; t++) second.push([...((await generation.step(heard(t))).frame ?? [])]);
    expect(second).toEqual(first);
    expect([...model.inputs[0]!]).toEqual([1000, 500, 500, 500, 500, 500]);
  });

  test.each([
    [[1, 2], "holds 2 elements, expected 3"],
    [[1, 2, 501], "code 501 of codebook 2"],
    [[1, -2, 3], "code -2 of codebook 1"],
    [[1, 2, 3.5], "code 3.5"],
    [[Number.NaN, 2, 3], "code NaN"],
  ])("refuse a frame of %j", async (codes, message) => {
    const generation = new Generation(new ScriptedModel(2, () => ({})), LAYOUT);
    await expect(generation.step(codes)).rejects.toThrow(message);
  });
});
