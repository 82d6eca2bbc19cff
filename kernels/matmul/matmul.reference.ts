/**
 * out[r, n] = base[r, n] + sum over k of x[r, k] · w[n, k], in double precision.
 *
 * @param x    (rows, cols)
 * @param w    (outCols, cols)
 * @param base (rows, outCols) what is added to, or null for zeros.
 * @returns    (rows, outCols)
 */
export function matmulReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  cols: number,
  base: ArrayLike<number> | null = null,
): Float64Array {
  const rows = x.length / cols;
  const outCols = w.length / cols;
  const out = new Float64Array(rows * outCols);
  for (let r = 0; r < rows; r++) {
    for (let n = 0; n < outCols; n++) {
      let sum = base ? base[r * outCols + n]! : 0;
      for (let k = 0; k < cols; k++) sum += x[r * cols + k]! * w[n * cols + k]!;
      out[r * outCols + n] = sum;
    }
  }
  return out;
}
