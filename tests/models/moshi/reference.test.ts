import { describe, expect, test } from "vitest";
import type { LanguageModelOptions } from "../../../models/moshi/language-model.ts";
import { column, describeWithFixture, expectWithin, type FixtureSet, rowOf } from "./fixtures.ts";
import { referenceConfig } from "./reference/config.ts";
import { referenceLanguageModel } from "./reference/language-model.ts";

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
