import type { MimiConfig } from "../../../../models/moshi/mimi/config.ts";

/** A codec's `mimi_config.json`, as the original implementation writes it. */
export function configJsonOf({ seanet, transformer, quantizer, nCodebooksUsed }: MimiConfig): object {
  return {
    channels: 1,
    sample_rate: 24_000,
    frame_rate: 12.5,
    seanet: {
      channels: 1,
      dimension: transformer.dim,
      causal: true,
      n_filters: seanet.nFilters,
      n_residual_layers: seanet.nResidualLayers,
      activation: "ELU",
      compress: seanet.compress,
      dilation_base: seanet.dilationBase,
      kernel_size: seanet.kernelSize,
      residual_kernel_size: seanet.residualKernelSize,
      last_kernel_size: seanet.lastKernelSize,
      norm: "none",
      pad_mode: "constant",
      ratios: seanet.ratios,
      true_skip: true,
    },
    transformer: {
      d_model: transformer.dim,
      num_heads: transformer.nHeads,
      num_layers: transformer.nLayers,
      causal: true,
      context: transformer.context,
      max_period: transformer.maxPeriod,
      gating: "none",
      norm: "layer_norm",
      positional_embedding: "rope",
      dim_feedforward: transformer.ffDim,
    },
    quantizer: { dimension: quantizer.dim, n_q: quantizer.nCodebooks, bins: quantizer.bins },
    num_codebooks_used: nCodebooksUsed,
  };
}
