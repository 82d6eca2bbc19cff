/**
 * out[r, c] = weight[c] · x[r, c] / sqrt(mean over c of x[r, c]² + eps), in double precision.
 *
 * @param x      (rows, cols)
 * @param weight (cols)
 * @returns      (rows, cols)
 */
export function rmsNormReference(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const cols = weight.length;
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    let squares = 0;
    for (let c = 0; c < cols; c++) squares += x[start + c]! ** 2;
    const scale = 1 / Math.sqrt(squares / cols + eps);
    for (let c = 0; c < cols; c++) out[start + c] = weight[c]! * x[start + c]! * scale;
  }
  return out;
}
