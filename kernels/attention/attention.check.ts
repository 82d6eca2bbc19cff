import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { cacheElements, plainKeys } from "../cache-check.ts";
import { peakOf, productLimit } from "../matrix-check.ts";
import { unpackRows } from "../step.ts";
import { attentionReference } from "./attention.reference.ts";
import type { AttentionSpec } from "./attention.ts";

/** How attention prepared from `spec` is compared with its reference. */
export function attentionCheck(spec: AttentionSpec): KernelCheck {
  const { nHeads, headDim, capacity, q, cache, slotPositions, rows, out } = spec;
  const { keys, values } = cache;
  return {
    label: spec.label,
    constants: {},
    before: { q, keys, values, slotPositions, rows },
    after: { out },
    prepare: () => (nRows, before, after) => {
      const queries = before.f32("q").subarray(0, nRows * nHeads * headDim);
      const plain = plainKeys(spec, cacheElements(cache.format, before.bytes("keys")));
      const held = cacheElements(cache.format, before.bytes("values"));
      const positions = unpackRows(before.u32("rows"), nRows).map(({ position }) => position);
      const slots = before.u32("slotPositions").subarray(0, capacity);
      const expected = attentionReference(spec, queries, plain, held, slots, positions);
      // A mean of values, whose weights carry the rounding of the scores.
      const scores = productLimit(queries, plain, headDim) / Math.sqrt(headDim);
      const most = (1e-5 + 2 * scores) * peakOf(held);
      return [{ name: "out", actual: after.f32("out"), expected, limit: () => most }];
    },
  };
}
