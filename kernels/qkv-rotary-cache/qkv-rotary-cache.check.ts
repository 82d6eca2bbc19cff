import type { Comparison, KernelCheck } from "../../src/gpu/kernel-check.ts";
import { plainKeys } from "../cache-check.ts";
import { peakOf } from "../matrix-check.ts";
import { unpackRows } from "../step.ts";
import { qkvRotaryCacheReference } from "./qkv-rotary-cache.reference.ts";
import type { QkvRotaryCacheSpec } from "./qkv-rotary-cache.ts";

/** How a rotation and append prepared from `spec` are compared with their reference: the whole cache, too. */
export function qkvRotaryCacheCheck(spec: QkvRotaryCacheSpec): KernelCheck {
  const { nHeads, nKvHeads, headDim, capacity, qkv, rows, q, slotPositions } = spec;
  const { keys, values } = spec.cache;
  const width = (nHeads + 2 * nKvHeads) * headDim;
  return {
    label: spec.label,
    constants: {},
    before: { qkv, rows, keys, values, slotPositions },
    after: { q, keys, values, slotPositions },
    prepare: () => (nRows, before, after) => {
      const given = before.f32("qkv").subarray(0, nRows * width);
      const cache = {
        keys: Float64Array.from(plainKeys(spec, before.f32("keys"))),
        values: Float64Array.from(before.f32("values")),
        slotPositions: before.u32("slotPositions").slice(0, capacity),
      };
      const expectedQ = qkvRotaryCacheReference(spec, given, unpackRows(before.u32("rows"), nRows), cache);
      // Sine and cosine in f32.
      const turned = 4e-6 * peakOf(given);
      const comparison = (
        name: string,
        actual: ArrayLike<number>,
        expected: ArrayLike<number>,
        most: number,
      ): Comparison => ({ name, actual, expected, limit: () => most });
      return [
        comparison("q", after.f32("q"), expectedQ, turned),
        comparison("keys", plainKeys(spec, after.f32("keys")), cache.keys, turned),
        comparison("values", after.f32("values"), cache.values, 0),
        comparison("slotPositions", after.u32("slotPositions"), cache.slotPositions, 0),
      ];
    },
  };
}
