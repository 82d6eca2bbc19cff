import { type ConvWeights, convWeights, emptyWeights } from "../../../kernels/causal-conv/conv-weights.ts";
import {
  type Codebooks,
  centroidsOf,
  createCodebooks,
  writeCodebook,
} from "../../../kernels/rvq/codebooks.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type MimiConfig, positionsPerFrame } from "./config.ts";
import type { MimiTensors } from "./tensors.ts";

/** Where a codebook's tensors are: the first one quantises by itself, the rest level by level. */
function codebookName(index: number): string {
  const [quantizer, layer] = index === 0 ? ["rvq_first", 0] : ["rvq_rest", index - 1];
  return `quantizer.${quantizer}.vq.layers.${layer}._codebook`;
}

/** Brings the first `nCodebooks` codebooks to the device. */
export async function loadCodebooks(
  gpu: Gpu,
  config: MimiConfig,
  tensors: MimiTensors,
  nCodebooks: number,
): Promise<Codebooks> {
  const { dim, bins } = config.quantizer;
  const codebooks = createCodebooks(gpu, "mimi codebooks", { nCodebooks, bins, dim });
  for (let i = 0; i < nCodebooks; i++) {
    const name = codebookName(i);
    const sums = await tensors.read(`${name}.embedding_sum`, [bins, dim]);
    const usage = await tensors.read(`${name}.cluster_usage`, [bins]);
    writeCodebook(gpu, codebooks, i, centroidsOf(sums, usage));
  }
  return codebooks;
}

/** From a latent to what either part quantises: (2 · quantizer.dim) of (dim). */
export async function inputProjection(config: MimiConfig, tensors: MimiTensors): Promise<ConvWeights> {
  const { dim } = config.transformer;
  const inner = config.quantizer.dim;
  const weight = new Float32Array(2 * inner * dim);
  for (const [i, part] of ["rvq_first", "rvq_rest"].entries()) {
    const name = `quantizer.${part}.input_proj.weight`;
    weight.set(await tensors.read(name, [inner, dim, 1]), i * inner * dim);
  }
  const shape = { inChannels: dim, outChannels: 2 * inner, taps: 1 };
  return convWeights("quantizer input_proj", { ...shape, weight, bias: null });
}

/**
 * From the sums of both parts' centroids to the decoder's positions: the output projections and the transposed convolution
 * of each channel by itself that follows, which are linear and so are one.
 *
 *   x[j, o] = sum over m of up[o, j + m positions] · sum over c of proj[o, c] · sums[t − m, c],  proj = [first, rest]
 */
export async function outputProjection(config: MimiConfig, tensors: MimiTensors): Promise<ConvWeights> {
  const { dim } = config.transformer;
  const inner = config.quantizer.dim;
  const positions = positionsPerFrame(config);
  const taps = 2 * positions;
  const up = await tensors.read("upsample.convtr.convtr.convtr.weight", [dim, 1, taps]);
  const folded = emptyWeights("quantizer output_proj", {
    taps: taps / positions,
    inChannels: 2 * inner,
    outChannels: positions * dim,
  });
  for (const [i, part] of ["rvq_first", "rvq_rest"].entries()) {
    const proj = await tensors.read(`quantizer.${part}.output_proj.weight`, [dim, inner, 1]);
    for (let tap = 0; tap < taps; tap++) {
      const k = folded.taps - 1 - Math.floor(tap / positions);
      for (let c = 0; c < inner; c++) {
        const to = (k * folded.inChannels + i * inner + c) * folded.outChannels + (tap % positions) * dim;
        for (let o = 0; o < dim; o++) folded.data[to + o] = up[o * taps + tap]! * proj[o * inner + c]!;
      }
    }
  }
  return folded;
}
