import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { DMEL, dmelValues, levelOf } from "./dmel.reference.ts";
import type { DmelSpec } from "./dmel.ts";

/** A value this close to a boundary, in levels, may fall on either side of it: it is computed in single precision. */
const UNSURE = 1e-3;

/** How a front end prepared from `spec` is compared with its reference. */
export function dmelCheck({ label, frames, pcm, levels }: DmelSpec): KernelCheck {
  const step = (DMEL.maxLog10 - DMEL.minLog10) / (DMEL.nLevels - 1);
  return {
    label,
    constants: {},
    before: { pcm },
    after: { levels },
    prepare: () => (_rows, before, after) => {
      const values = dmelValues(before.f32("pcm").subarray(0, DMEL.history + DMEL.hop * frames));
      const limit = (i: number): number => {
        const isUnsure = levelOf(values[i]! - UNSURE * step) !== levelOf(values[i]! + UNSURE * step);
        return isUnsure ? 1 : 0;
      };
      return [{ name: "levels", actual: after.u32("levels"), expected: values.map(levelOf), limit }];
    },
  };
}
