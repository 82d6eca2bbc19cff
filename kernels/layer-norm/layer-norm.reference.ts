/**
 * out[r, c] = bias[c] + weight[c] · (x[r, c] − mean) / sqrt(variance + eps), mean and variance over the columns of row r,
 * in double precision.
 *
 * @param x      (rows, cols)
 * @param weight (cols)
 * @param bias   (cols)
 * @returns      (rows, cols)
 */
export function layerNormReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  eps: number,
): Float64Array {
  const cols = weight.length;
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += x[start + c]!;
    const mean = sum / cols;
    let squares = 0;
    for (let c = 0; c < cols; c++) squares += (x[start + c]! - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / cols + eps);
    for (let c = 0; c < cols; c++) out[start + c] = bias[c]! + weight[c]! * (x[start + c]! - mean) * scale;
  }
  return out;
}
