import { expectLength } from "../../src/core/errors.ts";
import { type ConvWeights, emptyWeights, padded } from "../causal-conv/conv-weights.ts";

/** A transposed convolution as a checkpoint holds it. */
export interface TransposedConvTensor {
  inChannels: number;
  outChannels: number;
  taps: number;
  stride: number;
  /** (inChannels, outChannels, taps), row-major; with `depthwise` (inChannels, 1, taps). */
  weight: Float32Array;
  /** (outChannels), or null for none. */
  bias: Float32Array | null;
  /** Output o is made of input o alone. Default false. */
  depthwise?: boolean;
}

/**
 * A causal transposed convolution as a causal convolution: one output row of the latter holds the `stride` output rows of
 * the former that one input row completes, so (rows, stride · outChannels) is (rows · stride, outChannels) row-major.
 *
 *   y[t stride + j, o] = bias[o] + sum over m, c of w[c, o, j + m stride] · x[t − m, c],   j + m stride < taps
 *
 * What overlaps the next frame is not kept as sums; the inputs that it comes from are, as the left context. So the bias is
 * added once by nature.
 *
 * @returns Weights of ceil(taps / stride) taps, stride 1: a left context of one row less.
 * @throws RuntimeError "shape-mismatch" if weight or bias holds another number of elements, or a depthwise one maps to
 *         another number of channels.
 */
export function transposedConvWeights(label: string, tensor: TransposedConvTensor): ConvWeights {
  const { inChannels, outChannels, taps, stride, weight, bias, depthwise = false } = tensor;
  expectLength(label, "weight", weight.length, inChannels * (depthwise ? 1 : outChannels) * taps);
  if (bias) expectLength(label, "bias", bias.length, outChannels);
  if (depthwise) expectLength(label, "a row", outChannels, inChannels);
  const outStep = padded(outChannels);
  const newTaps = Math.ceil(taps / stride);
  const packed = emptyWeights(label, {
    taps: newTaps,
    inChannels: padded(inChannels),
    outChannels: stride * outStep,
  });
  for (let tap = 0; tap < taps; tap++) {
    const j = tap % stride;
    // The latest input row is the last tap.
    const k = newTaps - 1 - Math.floor(tap / stride);
    for (let c = 0; c < inChannels; c++) {
      const to = (k * packed.inChannels + c) * packed.outChannels + j * outStep;
      if (depthwise) packed.data[to + c] = weight[c * taps + tap]!;
      else
        for (let o = 0; o < outChannels; o++)
          packed.data[to + o] = weight[(c * outChannels + o) * taps + tap]!;
    }
  }
  if (bias) for (let j = 0; j < stride; j++) packed.bias.set(bias, j * outStep);
  return packed;
}
