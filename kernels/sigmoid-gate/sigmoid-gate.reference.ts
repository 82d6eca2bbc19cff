/**
 * x[r, c] + gate[r, c] · update[r, c] with gate[r, c] = 1 / (1 + exp(-(logit[r, c] + bias))), in double precision.
 *
 * @param x      (rows, cols)
 * @param update (rows, cols)
 * @param logit  (rows, cols)
 * @returns      x (rows, cols), and the opening: the mean of each row's gates, (rows)
 */
export function sigmoidGateReference(
  x: ArrayLike<number>,
  update: ArrayLike<number>,
  logit: ArrayLike<number>,
  { cols, bias }: { cols: number; bias: number },
): { x: Float64Array; opening: Float64Array } {
  const rows = x.length / cols;
  const out = new Float64Array(x.length);
  const opening = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const at = r * cols + c;
      const gate = 1 / (1 + Math.exp(-(logit[at]! + bias)));
      out[at] = x[at]! + gate * update[at]!;
      opening[r]! += gate / cols;
    }
  }
  return { x: out, opening };
}
