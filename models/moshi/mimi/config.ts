import { z } from "zod";
import { checked, failFor, jsonOf } from "../../tensors/json.ts";

const count = (max: number) => z.int().min(1).max(max);

/** `mimi_config.json`. What only one value is implemented for is named with that value; the rest is not looked at. */
const configFile = z.looseObject({
  sample_rate: z.literal(24_000),
  frame_rate: z.literal(12.5),
  channels: z.literal(1),
  seanet: z.looseObject({
    channels: z.literal(1),
    dimension: count(4096),
    causal: z.literal(true),
    // One channel would stand in rows of samples, as sound does.
    n_filters: z.int().min(2).max(1024),
    n_residual_layers: count(8),
    activation: z.literal("ELU"),
    compress: count(16),
    dilation_base: count(16),
    disable_norm_outer_blocks: z.int().optional(),
    kernel_size: count(63),
    residual_kernel_size: count(63),
    last_kernel_size: count(63),
    norm: z.literal("none"),
    pad_mode: z.literal("constant"),
    ratios: z.array(count(64)).min(1).max(8),
    true_skip: z.literal(true),
  }),
  transformer: z.looseObject({
    d_model: count(4096),
    num_heads: count(128),
    num_layers: count(64),
    causal: z.literal(true),
    context: count(100_000),
    max_period: z.number().min(1).max(1e9),
    gating: z.literal("none"),
    norm: z.literal("layer_norm"),
    positional_embedding: z.literal("rope"),
    dim_feedforward: count(65_536),
  }),
  quantizer: z.looseObject({ dimension: count(4096), n_q: count(64), bins: count(65_536) }),
  num_codebooks_used: count(64).optional(),
});

/** The sizes of one Mimi codec: 24 kHz mono, frames of 80 ms. */
export interface MimiConfig {
  seanet: {
    /** Channels of the first convolution; they double with every ratio. */
    nFilters: number;
    nResidualLayers: number;
    /** A residual block's inner layer has as many times fewer channels. */
    compress: number;
    /** Residual block j of a level has dilation dilationBase^j. */
    dilationBase: number;
    kernelSize: number;
    residualKernelSize: number;
    lastKernelSize: number;
    /** Upsampling of each level, the decoder's first level first; the encoder goes through them backwards. */
    ratios: readonly number[];
  };
  transformer: {
    dim: number;
    nHeads: number;
    nLayers: number;
    ffDim: number;
    /** Positions that are seen, the last of a frame counted. */
    context: number;
    maxPeriod: number;
  };
  quantizer: { dim: number; nCodebooks: number; bins: number };
  /** Codebooks that the model at hand uses, at most those of the quantiser. */
  nCodebooksUsed: number;
}

/** Samples of a frame. */
export const FRAME_SAMPLES = 1920;

/** Samples that stand in one row of a signal of one channel: a vec4. */
export const SAMPLES_A_ROW = 4;

/** Of the released checkpoints: they come without a `mimi_config.json`. */
export const RELEASED_MIMI: MimiConfig = {
  seanet: {
    nFilters: 64,
    nResidualLayers: 1,
    compress: 2,
    dilationBase: 2,
    kernelSize: 7,
    residualKernelSize: 3,
    lastKernelSize: 3,
    ratios: [8, 6, 5, 4],
  },
  transformer: { dim: 512, nHeads: 8, nLayers: 8, ffDim: 2048, context: 250, maxPeriod: 10_000 },
  quantizer: { dim: 256, nCodebooks: 32, bins: 2048 },
  nCodebooksUsed: 32,
};

/** Positions of the transformers in a frame: 2 in the released codec, 25 a second. */
export function positionsPerFrame({ seanet }: MimiConfig): number {
  return FRAME_SAMPLES / seanet.ratios.reduce((product, ratio) => product * ratio, 1);
}

/**
 * Parses a `mimi_config.json`.
 *
 * @param json   The text.
 * @param source For messages: the file's path.
 * @throws RuntimeError "invalid-checkpoint" naming the field and what was expected.
 */
export function parseMimiConfig(json: string, source: string): MimiConfig {
  const fail = failFor("mimi", source);
  const file = checked(configFile, jsonOf(json, fail), fail);
  const { seanet, transformer, quantizer } = file;
  const config: MimiConfig = {
    seanet: {
      nFilters: seanet.n_filters,
      nResidualLayers: seanet.n_residual_layers,
      compress: seanet.compress,
      dilationBase: seanet.dilation_base,
      kernelSize: seanet.kernel_size,
      residualKernelSize: seanet.residual_kernel_size,
      lastKernelSize: seanet.last_kernel_size,
      ratios: seanet.ratios,
    },
    transformer: {
      dim: transformer.d_model,
      nHeads: transformer.num_heads,
      nLayers: transformer.num_layers,
      ffDim: transformer.dim_feedforward,
      context: transformer.context,
      maxPeriod: transformer.max_period,
    },
    quantizer: { dim: quantizer.dimension, nCodebooks: quantizer.n_q, bins: quantizer.bins },
    nCodebooksUsed: file.num_codebooks_used ?? quantizer.n_q,
  };
  if (seanet.dimension !== transformer.d_model) {
    fail(`seanet.dimension ${seanet.dimension} is not transformer.d_model ${transformer.d_model}`);
  }
  const inconsistency = findInconsistency(config);
  if (inconsistency) fail(inconsistency);
  return config;
}

/** The first rule between fields that `config` breaks, or null. */
function findInconsistency(config: MimiConfig): string | null {
  const { seanet, transformer, quantizer, nCodebooksUsed } = config;
  const positions = positionsPerFrame(config);
  const headDim = transformer.dim / transformer.nHeads;
  if (!Number.isInteger(positions) || positions < 2) {
    return `seanet.ratios ${seanet.ratios.join(", ")} do not cut ${FRAME_SAMPLES} samples into two or more positions`;
  }
  if (headDim % 4 !== 0) {
    return `transformer.num_heads ${transformer.nHeads} does not cut ${transformer.dim} into multiples of 4`;
  }
  for (const [name, value] of [
    ["transformer.dim_feedforward", transformer.ffDim],
    ["quantizer.dimension", quantizer.dim],
  ] as const) {
    if (value % 4 !== 0) return `${name} is ${value}, expected a multiple of 4`;
  }
  if (transformer.context < positions) {
    return `transformer.context ${transformer.context} is less than the ${positions} positions of a frame`;
  }
  const narrowest = seanet.nFilters % seanet.compress;
  if (narrowest !== 0)
    return `seanet.n_filters ${seanet.nFilters} is no multiple of compress ${seanet.compress}`;
  if (nCodebooksUsed > quantizer.nCodebooks) {
    return `num_codebooks_used ${nCodebooksUsed} is more than quantizer.n_q ${quantizer.nCodebooks}`;
  }
  return null;
}
