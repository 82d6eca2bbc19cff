import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { largestRms, matrixElements, matrixViews, productLimit } from "../matrix-check.ts";
import { rmsNormReference } from "../rms-norm/rms-norm.reference.ts";
import { gatedMlpReference } from "./gated-mlp.reference.ts";
import type { GatedMlpSpec } from "./gated-mlp.ts";

/** How a gated MLP prepared from `spec` is compared with its reference. */
export function gatedMlpCheck({ label, x, norm, gateUp, out }: GatedMlpSpec): KernelCheck {
  const { cols } = gateUp;
  return {
    label,
    constants: { ...matrixViews(label, gateUp), norm: norm.weight },
    before: { x },
    after: { out },
    prepare(constants) {
      const w = matrixElements(gateUp, constants);
      const weight = constants.f32("norm").subarray(0, cols);
      return (rows, before, after) => {
        const given = before.f32("x").subarray(0, rows * cols);
        const expected = gatedMlpReference(given, weight, w, norm.eps);
        // Each factor carries the other's size, which is a few times the spread of such sums.
        const y = rmsNormReference(given, weight, norm.eps);
        const size = Math.sqrt(cols) * largestRms(y, cols) * largestRms(w, cols);
        const absolute = productLimit(y, w, cols) * (1 + 8 * size);
        const limit = (i: number): number => absolute + Math.abs(expected[i]!) * 2 ** -18;
        return [{ name: "out", actual: after.f32("out"), expected, limit }];
      };
    },
  };
}
