import type { Snapshot, Views } from "../src/gpu/kernel-check.ts";
import { dequantize } from "./blocks.ts";
import { fromHalf, type Matrix, singlePart } from "./matrix.ts";

const WEIGHTS = "matrix";
const SCALES = "matrix scales";

/** The buffers of a matrix of one part, for a kernel's check. */
export function matrixViews(label: string, matrix: Matrix): Views {
  const { weights, scales } = singlePart(label, matrix);
  return { [WEIGHTS]: weights, [SCALES]: scales };
}

/** What the matrix of `matrixViews` held, (rows, cols) row-major in full precision. */
export function matrixElements({ rows, cols, format }: Matrix, held: Snapshot): Float32Array {
  const length = rows * cols;
  switch (format) {
    case "f32":
      return held.f32(WEIGHTS).subarray(0, length);
    case "f16":
      return Float32Array.from(new Uint16Array(held.bytes(WEIGHTS)).subarray(0, length), fromHalf);
    case "q8": {
      const values = new Int8Array(held.bytes(WEIGHTS)).subarray(0, length);
      return dequantize({ kind: "q8", values, scales: held.f32(SCALES).subarray(0, length / 32) });
    }
    case "q4": {
      const values = new Uint8Array(held.bytes(WEIGHTS)).subarray(0, length / 2);
      const scales = new Uint16Array(held.bytes(SCALES)).subarray(0, length / 32);
      return dequantize({ kind: "q4", values, scales });
    }
    default:
      return format satisfies never;
  }
}

/** The largest root mean square among rows of `cols` elements. */
export function largestRms(values: ArrayLike<number>, cols: number): number {
  let largest = 0;
  for (let start = 0; start < values.length; start += cols) {
    let squares = 0;
    for (let i = start; i < start + cols; i++) squares += values[i]! ** 2;
    largest = Math.max(largest, Math.sqrt(squares / cols));
  }
  return largest;
}

/** The largest magnitude. */
export function peakOf(values: ArrayLike<number>): number {
  let peak = 0;
  for (let i = 0; i < values.length; i++) peak = Math.max(peak, Math.abs(values[i]!));
  return peak;
}

/**
 * What rounding explains in sums of `cols` products in f32 of rows of `x` with rows of `w`: 8 cols · 2^-24 where both
 * have a root mean square of 1.
 */
export function productLimit(x: ArrayLike<number>, w: ArrayLike<number>, cols: number): number {
  return 8 * cols * 2 ** -24 * largestRms(x, cols) * largestRms(w, cols);
}
