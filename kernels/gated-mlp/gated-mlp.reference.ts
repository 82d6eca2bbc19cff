import { matmulReference } from "../matmul/matmul.reference.ts";
import { rmsNormReference } from "../rms-norm/rms-norm.reference.ts";

/**
 * silu(gate) · up with [gate; up] = w · RMSNorm(x), in double precision.
 *
 * @param x    (rows, cols)
 * @param norm (cols)
 * @param w    (2 outCols, cols), the gate's rows first.
 * @returns    (rows, outCols)
 */
export function gatedMlpReference(
  x: ArrayLike<number>,
  norm: ArrayLike<number>,
  w: ArrayLike<number>,
  eps: number,
): Float64Array {
  const cols = norm.length;
  const both = matmulReference(rmsNormReference(x, norm, eps), w, cols);
  const outCols = w.length / cols / 2;
  return Float64Array.from({ length: both.length / 2 }, (_, i) => {
    const at = Math.floor(i / outCols) * 2 * outCols + (i % outCols);
    const gate = both[at]!;
    return (gate / (1 + Math.exp(-gate))) * both[at + outCols]!;
  });
}
