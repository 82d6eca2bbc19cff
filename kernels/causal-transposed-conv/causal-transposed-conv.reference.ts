export interface TransposedConvShape {
  inChannels: number;
  outChannels: number;
  taps: number;
  stride: number;
  /** Output o is made of input o alone; w is (inChannels, 1, taps). */
  depthwise?: boolean;
}

/**
 * Every input row adds its `taps` rows, from stride · t on: y[t stride + k, o] += w[c, o, k] · x[t, c]; then the bias once.
 * What lies beyond the last input row's stride is cut off. In double precision, over a whole signal.
 *
 * @param x    (rows, inChannels)
 * @param w    (inChannels, outChannels, taps)
 * @param bias (outChannels), or null for none.
 * @returns    (rows · stride, outChannels)
 */
export function causalTransposedConvReference(
  shape: TransposedConvShape,
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  bias: ArrayLike<number> | null,
): Float64Array {
  const { inChannels, outChannels, taps, stride, depthwise = false } = shape;
  const rows = (x.length / inChannels) * stride;
  const y = new Float64Array(rows * outChannels);
  for (let t = 0; t * inChannels < x.length; t++) {
    for (let k = 0; k < taps && t * stride + k < rows; k++) {
      for (let o = 0; o < outChannels; o++) {
        let sum = 0;
        if (depthwise) sum = w[o * taps + k]! * x[t * inChannels + o]!;
        else
          for (let c = 0; c < inChannels; c++) {
            sum += w[(c * outChannels + o) * taps + k]! * x[t * inChannels + c]!;
          }
        y[(t * stride + k) * outChannels + o]! += sum;
      }
    }
  }
  if (bias) for (let i = 0; i < y.length; i++) y[i]! += bias[i % outChannels]!;
  return y;
}
