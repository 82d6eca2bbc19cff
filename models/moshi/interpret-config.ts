import type { Fail } from "../tensors/json.ts";
import type { DepthConfig, MoshiConfig, TransformerConfig } from "./config.ts";
import type { ConfigFile } from "./config-file.ts";

/** What a `config.json` of the family means, its defaults filled in. @throws what `fail` throws, naming the key. */
export function interpret(file: ConfigFile, fail: Fail): MoshiConfig {
  const hiddenScale = file.hidden_scale ?? 4.125;
  const kvRepeat = file.kv_repeat ?? 1;
  const temporal = transformer(fail, "", {
    dim: file.dim,
    nLayers: file.num_layers,
    nHeads: file.num_heads,
    kvRepeat,
    ffDim: gatedWidth(file.dim, Math.trunc(hiddenScale * file.dim)),
  });
  const gated = file.xa_gating != null;
  return {
    modelType: modelTypeOf(file.model_type, fail),
    files: {
      model: file.moshi_name ?? "model.safetensors",
      mimi: file.mimi_name ?? null,
      mimiConfig: file.mimi_config_name ?? null,
      tokenizer: file.tokenizer_name ?? null,
      lora: file.lora_name ?? null,
    },
    temporal,
    context: file.context,
    rotary: {
      layout: file.positional_embedding === "rope_concat" ? "halves" : "interleaved",
      maxPeriod: file.max_period ?? 10_000,
    },
    normEps: file.norm === "rms_norm" || file.norm === "real_rms_norm" ? 1e-5 : 1e-8,
    nQ: file.n_q,
    depth: file.dep_q === 0 ? null : depthOf(file, hiddenScale, kvRepeat, fail),
    depQ: file.dep_q,
    card: file.card ?? file.audio_card ?? fail("card: expected a number"),
    textCard: file.text_card,
    textCardOut: file.text_card_out ?? file.text_card,
    textPadding: file.existing_text_padding_id ?? file.padding_token_id ?? 3,
    delays: file.delays,
    demux: file.demux_second_stream ?? false,
    crossAttention: file.cross_attention ? (gated ? "gated" : "plain") : "none",
    extraHeads: { count: file.extra_heads_num_heads ?? 0, classes: file.extra_heads_dim ?? 6 },
    conditioners: new Map(
      Object.entries(file.conditioners ?? {}).map(([name, entry]) => [
        name,
        entry.type === "lut"
          ? { kind: "lut", nBins: entry.lut.n_bins, dim: entry.lut.dim, values: entry.lut.possible_values }
          : { kind: "tensor", dim: entry.tensor.dim },
      ]),
    ),
    fuser: {
      sum: file.fuser?.sum ?? [],
      cross: file.fuser?.cross ?? [],
      crossPositionScale: file.fuser?.cross_attention_pos_emb
        ? (file.fuser.cross_attention_pos_emb_scale ?? 1)
        : null,
    },
    loraScaling: file.lora_scaling ?? 2,
    sampling: {
      audioTemperature: file.lm_gen_config?.temp ?? null,
      audioTopK: file.lm_gen_config?.top_k ?? null,
      textTemperature: file.lm_gen_config?.temp_text ?? file.lm_gen_config?.text_temp ?? null,
      textTopK: file.lm_gen_config?.top_k_text ?? file.lm_gen_config?.text_topk ?? null,
    },
    tts: file.tts_config
      ? {
          audioDelaySeconds: file.tts_config.audio_delay ?? 0,
          secondStreamAhead: file.tts_config.second_stream_ahead ?? 0,
          multistream: file.tts_config.multistream ?? false,
        }
      : null,
    stt: file.stt_config
      ? {
          audioDelaySeconds: file.stt_config.audio_delay_seconds ?? 0,
          silencePrefixSeconds: file.stt_config.audio_silence_prefix_seconds ?? 0,
        }
      : null,
  };
}

/** A key with the prefix `depformer_` stands over the same key without, which else holds for both transformers. */
function depthOf(file: ConfigFile, hiddenScale: number, kvRepeat: number, fail: Fail): DepthConfig {
  const dim = file.depformer_dim ?? fail("depformer_dim: expected a number");
  const schedule =
    file.depformer_weights_per_step_schedule ?? Array.from({ length: file.dep_q }, (_, step) => step);
  const feedForward = file.depformer_dim_feedforward ?? Math.trunc(hiddenScale * dim);
  return {
    ...transformer(fail, "depformer_", {
      dim,
      nLayers: file.depformer_num_layers ?? file.num_layers,
      nHeads: file.depformer_num_heads ?? file.num_heads,
      kvRepeat: file.depformer_kv_repeat ?? kvRepeat,
      ffDim: gatedWidth(dim, feedForward),
    }),
    schedule,
    nWeightSets: Math.max(...schedule) + 1,
    lowRank: file.depformer_low_rank_embeddings ?? null,
    outputNorm: file.depformer_norm === "layer_norm",
  };
}

function transformer(
  fail: Fail,
  prefix: string,
  sizes: { dim: number; nLayers: number; nHeads: number; kvRepeat: number; ffDim: number },
): TransformerConfig {
  const { dim, nLayers, nHeads, kvRepeat, ffDim } = sizes;
  if (dim % nHeads !== 0) fail(`${prefix}dim: ${dim} is no multiple of ${nHeads} heads`);
  if (nHeads % kvRepeat !== 0) fail(`${prefix}kv_repeat: ${nHeads} heads are no multiple of ${kvRepeat}`);
  const headDim = dim / nHeads;
  if (headDim % 4 !== 0) fail(`${prefix}num_heads: a head of ${headDim} is no multiple of 4`);
  return { dim, nLayers, nHeads, nKvHeads: nHeads / kvRepeat, headDim, ffDim };
}

/** Inner width of the gated MLP for a feed-forward width that was given as for an ungated one. */
function gatedWidth(dim: number, feedForward: number): number {
  return feedForward === 4 * dim ? Math.floor((21 * dim) / 8) : Math.floor((2 * feedForward) / 3);
}

function modelTypeOf(name: string | undefined, fail: Fail): MoshiConfig["modelType"] {
  switch (name) {
    case undefined:
      return "moshi";
    case "moshi":
    case "hibiki":
    case "stt":
    case "tts":
      return name;
    default:
      return fail(`model_type: "${name}" is not known, expected moshi, hibiki, stt or tts`);
  }
}

/** The first rule between fields that `config` breaks, or null. */
export function findInconsistency(config: MoshiConfig): string | null {
  const { nQ, depQ, depth, delays, conditioners, fuser, textCard, textPadding } = config;
  if (delays.length !== 1 + nQ) return `delays: ${delays.length} entries, expected 1 + n_q = ${1 + nQ}`;
  if (depQ > nQ) return `dep_q: ${depQ} is more than n_q = ${nQ}`;
  if (textPadding >= textCard) return `existing_text_padding_id: ${textPadding} is no text token`;
  if (depth && depth.schedule.length !== depQ) {
    return `depformer_weights_per_step_schedule: ${depth.schedule.length} entries, expected dep_q = ${depQ}`;
  }
  for (const name of [...fuser.sum, ...fuser.cross]) {
    if (!conditioners.has(name)) return `fuser: there is no conditioner "${name}"`;
  }
  for (const [name, conditioner] of conditioners) {
    if (conditioner.kind === "lut" && conditioner.values.length > conditioner.nBins) {
      return `conditioners.${name}: ${conditioner.values.length} values in ${conditioner.nBins} bins`;
    }
  }
  return null;
}
