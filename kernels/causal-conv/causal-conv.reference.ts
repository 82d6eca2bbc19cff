export interface CausalConvShape {
  inChannels: number;
  outChannels: number;
  taps: number;
  stride: number;
  dilation: number;
}

/** Rows of the past that a causal convolution sees before its first row. */
export function leftContext(shape: { taps: number; stride: number; dilation: number }): number {
  return (shape.taps - 1) * shape.dilation + 1 - shape.stride;
}

/**
 * y[t, o] = bias[o] + sum over k, c of w[o, c, k] · x[t stride + k dilation − context, c], with `leftContext` rows before x:
 * zeros, or where `replicate` is set copies of the first row. In double precision, over a whole signal.
 *
 * @param x    (rows, inChannels), rows a multiple of the stride.
 * @param w    (outChannels, inChannels, taps)
 * @param bias (outChannels), or null for none.
 * @returns    (rows / stride, outChannels)
 */
export function causalConvReference(
  shape: CausalConvShape & { replicate?: boolean },
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  bias: ArrayLike<number> | null,
): Float64Array {
  const { inChannels, outChannels, taps, stride, dilation } = shape;
  const context = leftContext(shape);
  const positions = x.length / inChannels / stride;
  const y = new Float64Array(positions * outChannels);
  for (let t = 0; t < positions; t++) {
    for (let o = 0; o < outChannels; o++) {
      let sum = bias ? bias[o]! : 0;
      for (let k = 0; k < taps; k++) {
        const row = t * stride + k * dilation - context;
        if (row < 0 && !shape.replicate) continue;
        const from = Math.max(row, 0) * inChannels;
        for (let c = 0; c < inChannels; c++) sum += w[(o * inChannels + c) * taps + k]! * x[from + c]!;
      }
      y[t * outChannels + o] = sum;
    }
  }
  return y;
}

/** max(y, 0) + exp(min(y, 0)) − 1 of each element, in double precision. */
export function eluReference(y: ArrayLike<number>): Float64Array {
  return Float64Array.from(y, (value) => (value > 0 ? value : Math.expm1(value)));
}

/** y (1 + erf(y / √2)) / 2 of each element, in double precision. */
export function geluReference(y: ArrayLike<number>): Float64Array {
  return Float64Array.from(y, (value) => (value * (1 + erf(value / Math.SQRT2))) / 2);
}

/** The error function: its Taylor series where that converges fast, beyond it the continued fraction of 1 − erf. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  if (Math.abs(x) < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  const z = Math.abs(x);
  let fraction = z;
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction);
}
