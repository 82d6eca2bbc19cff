import { expectLength, RuntimeError } from "../../src/core/errors.ts";

/**
 * The weights of a convolution as the kernel reads them: (taps, inChannels, outChannels), row-major, channels padded with
 * zeros to whole vec4. Padded outputs come out as zeros, which are what padded inputs expect.
 */
export interface ConvWeights {
  taps: number;
  /** A multiple of 4. */
  inChannels: number;
  /** A multiple of 4. */
  outChannels: number;
  data: Float32Array;
  /** (outChannels). */
  bias: Float32Array;
}

/** A convolution as a checkpoint holds it. */
export interface ConvTensor {
  outChannels: number;
  inChannels: number;
  taps: number;
  /** (outChannels, inChannels, taps), row-major. */
  weight: Float32Array;
  /** (outChannels), or null for none. */
  bias: Float32Array | null;
}

/** The least multiple of 4 that is not below `channels`. */
export function padded(channels: number): number {
  return Math.ceil(channels / 4) * 4;
}

/** @throws RuntimeError "shape-mismatch" if weight or bias holds another number of elements. */
export function convWeights(label: string, tensor: ConvTensor): ConvWeights {
  return foldedConvWeights(label, tensor, 1);
}

/**
 * The same convolution, of stride and dilation 1, over rows that hold `fold` positions each: as many times the channels, in
 * and out. So a signal of one channel is read and written in whole vec4. Channels of one position are padded only if
 * `fold` is 1.
 *
 * The left context is `foldedContext` rows.
 *
 * @throws RuntimeError "shape-mismatch" as above, or if the channels of a row are no multiple of 4.
 */
export function foldedConvWeights(label: string, tensor: ConvTensor, fold: number): ConvWeights {
  const { inChannels, outChannels, taps, weight, bias } = tensor;
  expectLength(label, "weight", weight.length, outChannels * inChannels * taps);
  if (bias) expectLength(label, "bias", bias.length, outChannels);
  // A position of several channels that stands in rows of its own elsewhere is padded there, so it is padded here.
  const inStep = inChannels === 1 && fold > 1 ? 1 : padded(inChannels);
  const outStep = outChannels === 1 && fold > 1 ? 1 : padded(outChannels);
  const packed = emptyWeights(label, {
    taps: foldedContext(taps, fold) + 1,
    inChannels: fold * inStep,
    outChannels: fold * outStep,
  });
  const context = foldedContext(taps, fold) * fold;
  for (let position = 0; position < fold; position++) {
    for (let k = 0; k < taps; k++) {
      const at = context + position + k - (taps - 1);
      for (let c = 0; c < inChannels; c++) {
        const from = (at * inStep + c) * packed.outChannels + position * outStep;
        for (let o = 0; o < outChannels; o++)
          packed.data[from + o] = weight[(o * inChannels + c) * taps + k]!;
      }
    }
    if (bias) packed.bias.set(bias, position * outStep);
  }
  return packed;
}

/** Rows of left context of a convolution of stride and dilation 1 over rows of `fold` positions. */
export function foldedContext(taps: number, fold: number): number {
  return Math.ceil((taps - 1) / fold);
}

/** All zeros. @throws RuntimeError "shape-mismatch" if a row is no whole number of vec4. */
export function emptyWeights(
  label: string,
  shape: Pick<ConvWeights, "taps" | "inChannels" | "outChannels">,
): ConvWeights {
  const { taps, inChannels, outChannels } = shape;
  if (inChannels % 4 !== 0 || outChannels % 4 !== 0) {
    throw new RuntimeError("shape-mismatch", {
      part: label,
      problem: `maps rows of ${inChannels} to rows of ${outChannels} channels, expected multiples of 4`,
    });
  }
  const data = new Float32Array(taps * inChannels * outChannels);
  return { ...shape, data, bias: new Float32Array(outChannels) };
}
