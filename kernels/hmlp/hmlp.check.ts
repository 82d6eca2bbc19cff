import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { peakOf } from "../matrix-check.ts";
import { hmlpReference } from "./hmlp.reference.ts";
import type { HmlpSpec } from "./hmlp.ts";

/** How a video stem prepared from `spec` is compared with its reference, all of its folds at once. */
export function hmlpCheck(spec: HmlpSpec): KernelCheck {
  const { width, height, layers, video, out } = spec;
  return {
    label: spec.label,
    constants: {},
    before: { video },
    after: { out },
    prepare: () => (_rows, before, after) => {
      const pixels = new Int8Array(before.bytes("video")).subarray(0, 2 * height * width * 3);
      const expected = hmlpReference(spec, layers, pixels);
      // Each fold normalises what the one before rounded; the last sums what is left.
      const most = 1e-4 * Math.max(1e-3, peakOf(expected));
      return [{ name: "out", actual: after.f32("out"), expected, limit: () => most }];
    },
  };
}
