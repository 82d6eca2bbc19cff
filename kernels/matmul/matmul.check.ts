import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { matrixElements, matrixViews, productLimit } from "../matrix-check.ts";
import { rmsNormReference } from "../rms-norm/rms-norm.reference.ts";
import { matmulReference } from "./matmul.reference.ts";
import type { MatmulSpec } from "./matmul.ts";

/** How a product with a matrix of one part, prepared from `spec`, is compared with its reference. */
export function matmulCheck(spec: MatmulSpec): KernelCheck {
  const { label, matrix, norm, out } = spec;
  const { cols } = matrix;
  return {
    label,
    constants: { ...matrixViews(label, matrix), ...(norm ? { norm: norm.weight } : {}) },
    before: { x: spec.x, ...(spec.accumulate ? { base: out } : {}) },
    after: { out },
    prepare(constants) {
      const w = matrixElements(matrix, constants);
      const weight = norm && constants.f32("norm").subarray(0, cols);
      return (rows, before, after) => {
        const x = before.f32("x").subarray(0, rows * cols);
        const given = spec.rectify ? x.map((value) => Math.max(value, 0)) : x;
        const y = norm && weight ? rmsNormReference(given, weight, norm.eps) : given;
        const base = spec.accumulate ? before.f32("base") : null;
        const expected = matmulReference(y, w, cols, base);
        const absolute = productLimit(y, w, cols);
        const limit = (i: number): number => absolute + Math.abs(expected[i]!) * 2 ** -20;
        return [{ name: "out", actual: after.f32("out"), expected, limit }];
      };
    },
  };
}
