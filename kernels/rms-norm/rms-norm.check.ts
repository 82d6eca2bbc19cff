import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { rmsNormReference } from "./rms-norm.reference.ts";
import type { RmsNormSpec } from "./rms-norm.ts";

/** How a norm prepared from `spec` is compared with its reference. */
export function rmsNormCheck({ label, cols, eps, x, weight, out }: RmsNormSpec): KernelCheck {
  return {
    label,
    constants: { weight },
    before: { x },
    after: { out },
    prepare(constants) {
      const scale = constants.f32("weight").subarray(0, cols);
      return (rows, before, after) => {
        const expected = rmsNormReference(before.f32("x").subarray(0, rows * cols), scale, eps);
        // A few roundings, all of factors.
        const limit = (i: number): number => 1e-9 + Math.abs(expected[i]!) * 1e-5;
        return [{ name: "out", actual: after.f32("out"), expected, limit }];
      };
    },
  };
}
