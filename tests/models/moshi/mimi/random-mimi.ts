import type { MimiConfig } from "../../../../models/moshi/mimi/config.ts";
import { openFormula } from "../../../../models/moshi/parity/weight-formula.ts";
import type { TensorFile } from "../../../../models/tensors/tensor-file.ts";

/** A codec of a few thousand weights with the released one's rates: 2 positions a frame. */
export const SMALL: MimiConfig = {
  seanet: {
    nFilters: 2,
    nResidualLayers: 1,
    compress: 2,
    dilationBase: 2,
    kernelSize: 7,
    residualKernelSize: 3,
    lastKernelSize: 3,
    ratios: [8, 6, 5, 4],
  },
  transformer: { dim: 16, nHeads: 2, nLayers: 2, ffDim: 32, context: 14, maxPeriod: 10_000 },
  quantizer: { dim: 8, nCodebooks: 6, bins: 24 },
  nCodebooksUsed: 5,
};

/** Everything that may be otherwise: residual layers, dilations, ratios, kernels, 4 positions a frame, an odd context. */
export const ODD: MimiConfig = {
  seanet: {
    nFilters: 3,
    nResidualLayers: 2,
    compress: 1,
    dilationBase: 3,
    kernelSize: 5,
    residualKernelSize: 2,
    lastKernelSize: 4,
    ratios: [10, 8, 6],
  },
  transformer: { dim: 12, nHeads: 3, nLayers: 1, ffDim: 20, context: 17, maxPeriod: 500 },
  quantizer: { dim: 4, nCodebooks: 3, bins: 70 },
  nCodebooksUsed: 3,
};

/** Random tensors with the released names and the shapes of `config`, spread so that signals keep their size. */
export function randomTensors(config: MimiConfig, seed: number): TensorFile {
  const { seanet, transformer, quantizer } = config;
  const { dim, ffDim, nLayers } = transformer;
  const tensors: Record<string, { shape: number[]; offset: number; scale: number }> = {};
  const add = (name: string, shape: number[], scale: number, offset = 0) => {
    tensors[name] = { shape, offset, scale };
  };
  // Uniform in [-s, s) has variance s² / 3.
  const weight = (name: string, shape: number[], inputs: number) => add(name, shape, Math.sqrt(3 / inputs));
  const conv = (name: string, outputs: number, inputs: number, taps: number) => {
    weight(`${name}.conv.conv.weight`, [outputs, inputs, taps], inputs * taps);
    add(`${name}.conv.conv.bias`, [outputs], 0.1);
  };
  const residual = (name: string, channels: number) => {
    conv(`${name}.block.1`, channels / seanet.compress, channels, seanet.residualKernelSize);
    conv(`${name}.block.3`, channels, channels / seanet.compress, 1);
  };

  let n = 0;
  let channels = seanet.nFilters;
  conv(`encoder.model.${n++}`, channels, 1, seanet.kernelSize);
  for (const ratio of [...seanet.ratios].reverse()) {
    for (let j = 0; j < seanet.nResidualLayers; j++) residual(`encoder.model.${n++}`, channels);
    conv(`encoder.model.${n + 1}`, 2 * channels, channels, 2 * ratio);
    n += 2;
    channels *= 2;
  }
  conv(`encoder.model.${n + 1}`, dim, channels, seanet.lastKernelSize);

  n = 0;
  conv(`decoder.model.${n++}`, channels, dim, seanet.kernelSize);
  for (const ratio of seanet.ratios) {
    const name = `decoder.model.${n + 1}.convtr.convtr`;
    weight(`${name}.weight`, [channels, channels / 2, 2 * ratio], 2 * channels);
    add(`${name}.bias`, [channels / 2], 0.1);
    n += 2;
    channels /= 2;
    for (let j = 0; j < seanet.nResidualLayers; j++) residual(`decoder.model.${n++}`, channels);
  }
  conv(`decoder.model.${n + 1}`, 1, channels, seanet.lastKernelSize);

  for (const side of ["encoder", "decoder"])
    for (let i = 0; i < nLayers; i++) {
      const name = `${side}_transformer.transformer.layers.${i}`;
      for (const norm of ["norm1", "norm2"]) {
        add(`${name}.${norm}.weight`, [dim], 0.3, 1);
        add(`${name}.${norm}.bias`, [dim], 0.1);
      }
      weight(`${name}.self_attn.in_proj_weight`, [3 * dim, dim], dim);
      weight(`${name}.self_attn.out_proj.weight`, [dim, dim], dim);
      weight(`${name}.linear1.weight`, [ffDim, dim], dim);
      weight(`${name}.linear2.weight`, [dim, ffDim], ffDim);
      for (const scale of ["layer_scale_1", "layer_scale_2"]) add(`${name}.${scale}.scale`, [dim], 0.3, 0.5);
    }

  const resampling = 2 * (1920 / seanet.ratios.reduce((product, ratio) => product * ratio, 1));
  weight("downsample.conv.conv.conv.weight", [dim, dim, resampling], dim * resampling);
  weight("upsample.convtr.convtr.convtr.weight", [dim, 1, resampling], 2);
  for (const [part, layers] of [
    ["rvq_first", 1],
    ["rvq_rest", quantizer.nCodebooks - 1],
  ] as const) {
    weight(`quantizer.${part}.input_proj.weight`, [quantizer.dim, dim, 1], dim);
    weight(`quantizer.${part}.output_proj.weight`, [dim, quantizer.dim, 1], quantizer.dim);
    for (let l = 0; l < layers; l++) {
      const name = `quantizer.${part}.vq.layers.${l}._codebook`;
      add(`${name}.embedding_sum`, [quantizer.bins, quantizer.dim], 2);
      add(`${name}.cluster_usage`, [quantizer.bins], 0.5, 1);
    }
  }
  return openFormula(JSON.stringify({ seed, tensors }), "random mimi");
}
