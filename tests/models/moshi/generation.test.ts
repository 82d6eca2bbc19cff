import { describe, expect, test } from "vitest";
import { Generation } from "../../../models/moshi/generation.ts";
import type { LanguageModelOptions } from "../../../models/moshi/language-model.ts";
import { fixtureModel } from "./fixture-model.ts";
import { describeWithFixture, expectWithin, type FixtureSet, rowOf } from "./fixtures.ts";

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
