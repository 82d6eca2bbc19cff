import { describe, expect, test } from "vitest";
import type { LanguageModelOptions } from "../../../models/moshi/language-model.ts";
import { column, describeWithFixture, expectWithin, type FixtureSet, rowOf } from "./fixtures.ts";
import { referenceConfig } from "./reference/config.ts";
import { referenceLanguageModel } from "./reference/language-model.ts";
import { attention, gatedMlp, layerNorm, linear, rmsNorm, rotate } from "./reference/layers.ts";

/** The original computes in f32, whose own rounding is up to 2.9e-5 on these sets (its note on tolerances). */
const LIMIT = 4e-5;

/** What the sets were computed with. */
function conditionsOf(set: string, fixture: FixtureSet): Partial<LanguageModelOptions> {
  if (set !== "b/lm_hibiki" && set !== "b/lm_tts") return {};
  const stored = fixture.tensors("conditions.safetensors");
  const values = (name: string): Float32Array => Float32Array.from(stored(name).data);
  if (set === "b/lm_hibiki") return { conditions: { sum: values("very_good") } };
  return { conditions: { sum: values("sum"), cross: values("cross") } };
}

describe("the double-precision network against the original, teacher-forced", () => {
  for (const set of ["a/lm", "b/lm_hibiki", "b/lm_hibiki_zero", "b/lm_stt", "b/lm_tts"]) {
    describeWithFixture(set, (fixture) => {
      test("logits, outputs and heads", async () => {
        const config = referenceConfig(fixture.json("config.json") as Record<string, unknown>);
        const weights = fixture.tensors("model.safetensors");
        const expected = fixture.tensors("teacher_forced.safetensors");
        const model = referenceLanguageModel(
          config,
          (name) => weights(name).data,
          conditionsOf(set, fixture),
        );
        const delayed = expected("delayed");
        const steps = delayed.shape[1]! - 1;
        for (let t = 0; t < steps; t++) {
          const next = column(delayed, t + 1);
          const { inspected, extraHeads } = await model.frame({
            tokens: column(delayed, t),
            text: next[0]!,
            audio: [...next.subarray(1, 1 + config.depQ)],
            inspect: true,
          });
          expectWithin(inspected!.textLogits, rowOf(expected("text_logits"), t), LIMIT);
          expectWithin(inspected!.transformerOut, rowOf(expected("transformer_out"), t), LIMIT);
          if (config.depQ > 0) expectWithin(inspected!.depthLogits, rowOf(expected("dep_logits"), t), LIMIT);
          if (config.extraHeads.count > 0) expectWithin(extraHeads, rowOf(expected("extra_heads"), t), LIMIT);
        }
        expect(steps).toBeGreaterThan(config.context);
      });
    });
  }
});

describe("the layers, worked by hand", () => {
  const of = (...values: number[]): Float64Array => Float64Array.from(values);

  test("products, norms and the gated layer", () => {
    expect([...linear([9, 9, 1, 2, 3, 4], of(10, 1), 2, 1)]).toEqual([12, 34]);
    // The mean square of 3 and 4 is 12.5; their mean 3.5 and variance 0.25.
    expectWithin(rmsNorm(of(3, 4), [1, 2]), [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)], 1e-8);
    expectWithin(layerNorm(of(3, 4), [1, 2], [0, 5]), [-1, 7], 1e-4);
    // Gate 2 and value 3 of x = 1: silu(2) * 3 = 6 / (1 + e^-2), times 10.
    expectWithin(gatedMlp(of(1), [2, 3], [10], 1), [60 / (1 + Math.exp(-2))], 1e-12);
  });

  test("a quarter turn, in both layouts of pairs", () => {
    // Position 1 turns the second pair of a head of 4 by (pi / 2) where maxPeriod^(-1/2) is pi / 2; the first by 1.
    const maxPeriod = (Math.PI / 2) ** -2;
    const [cos, sin] = [Math.cos(1), Math.sin(1)];
    const interleaved = of(1, 0, 1, 0);
    rotate(interleaved, 1, 4, maxPeriod, false);
    expectWithin(interleaved, [cos, sin, 0, 1], 1e-12);
    const halves = of(1, 1, 0, 0);
    rotate(halves, 1, 4, maxPeriod, true);
    expectWithin(halves, [cos, 0, sin, 1], 1e-12);
  });

  test("two heads over one key head", () => {
    // Scores 0 and ln 3 after the scale: weights 1/4 and 3/4 for the first head, halves for the second.
    const scale = Math.sqrt(2) * Math.log(3);
    const out = attention(of(scale, 0, 0, 0), [of(0, 7), of(1, 7)], [of(0, 4), of(8, 0)], 2, 2);
    expectWithin(out, [6, 1, 4, 2], 1e-12);
  });
});
