import { RuntimeError } from "../../src/core/errors.ts";
import { type ConfigFile, configFile } from "./config-file.ts";

/** Frames of every model of the family: 12.5 a second, 80 ms each. */
export const FRAME_RATE_HZ = 12.5;

/** One of the two transformers. */
export interface TransformerConfig {
  dim: number;
  nLayers: number;
  nHeads: number;
  /** Divides nHeads. */
  nKvHeads: number;
  headDim: number;
  /** Width of the gated MLP's inner layer. */
  ffDim: number;
}

/** The depth transformer: depQ steps a frame. */
export interface DepthConfig extends TransformerConfig {
  /** (depQ) which set of weights each step uses. */
  schedule: readonly number[];
  /** Distinct sets of weights. */
  nWeightSets: number;
  /** Width of the embedding tables where a matrix brings them to `dim`; null where they have it already. */
  lowRank: number | null;
  /** A LayerNorm per codebook before its head. */
  outputNorm: boolean;
}

/** What a session can be conditioned on; `sum` and `cross` say where it enters. */
export type ConditionerConfig =
  | { kind: "lut"; nBins: number; dim: number; values: readonly string[] }
  | { kind: "tensor"; dim: number };

/**
 * One released model of the Moshi family: its language model and what `config.json` says of the files and the
 * generation beside it. Streams are counted as rows: row 0 text, rows 1 to depQ generated audio codebooks, the rest up to
 * nQ input codebooks.
 */
export interface MoshiConfig {
  modelType: "moshi" | "hibiki" | "stt" | "tts";
  /** How tensors are named: MoshiVis has names of its own. */
  names: "moshi" | "moshivis";
  /** Files of the checkpoint's folder, or `hf://org/repo/file`; null where config.json does not say. */
  files: {
    model: string;
    mimi: string | null;
    mimiConfig: string | null;
    tokenizer: string | null;
    lora: string | null;
  };
  temporal: TransformerConfig;
  /** Frames that a step sees, itself included. */
  context: number;
  rotary: { layout: "interleaved" | "halves"; maxPeriod: number };
  normEps: number;
  nQ: number;
  /** Null where no audio is generated; depQ is 0 then. */
  depth: DepthConfig | null;
  depQ: number;
  /** Audio tokens; the token `card` is the initial one and is never predicted. */
  card: number;
  /** Text tokens of the input; the token `textCard` is the initial one. */
  textCard: number;
  /** Text tokens of the output. */
  textCardOut: number;
  textPadding: number;
  /** (1 + nQ) frames by which each row is delayed. */
  delays: readonly number[];
  /** Text tokens carry a second text stream. */
  demux: boolean;
  /** "plain": weights and a LayerNorm in each layer. "gated": weights in common, RMSNorm and a gate in each layer (MoshiVis). */
  crossAttention: "none" | "plain" | "gated";
  extraHeads: { count: number; classes: number };
  conditioners: ReadonlyMap<string, ConditionerConfig>;
  /** Conditioners that are added to the input of every step, and those that cross-attention attends to. */
  fuser: { sum: readonly string[]; cross: readonly string[]; crossPositionScale: number | null };
  loraScaling: number;
  /** What lm_gen_config says; null where it says nothing. */
  sampling: {
    audioTemperature: number | null;
    audioTopK: number | null;
    textTemperature: number | null;
    textTopK: number | null;
  };
  tts: { audioDelaySeconds: number; secondStreamAhead: number; multistream: boolean } | null;
  stt: { audioDelaySeconds: number; silencePrefixSeconds: number } | null;
}

/** Delays of Moshi's 17 rows: acoustic codebooks one frame after the semantic one, for both speakers. */
const MOSHI_DELAYS = [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1];

const MOSHI_7B = {
  dim: 4096,
  num_layers: 32,
  num_heads: 32,
  hidden_scale: 4.125,
  context: 3000,
  max_period: 10_000,
  n_q: 16,
  dep_q: 8,
  card: 2048,
  text_card: 32_000,
  delays: MOSHI_DELAYS,
  depformer_dim: 1024,
  depformer_dim_feedforward: 4224,
  depformer_num_layers: 6,
  depformer_num_heads: 16,
};

/**
 * Parses a checkpoint's configuration. The first releases and PersonaPlex come without one or with one that has no
 * dimensions: they are Moshi 7B.
 *
 * @param json The text of `config.json`, or null where there is none.
 * @param source For messages: the file's path.
 * @param assumed Which model a configuration without dimensions is of; see `isPersonaPlex`.
 * @throws RuntimeError "invalid-checkpoint" naming the field and what was expected.
 */
export function parseMoshiConfig(
  json: string | null,
  source: string,
  assumed: "moshi" | "personaplex" = "moshi",
): MoshiConfig {
  const fail = (problem: string, cause?: unknown): never => {
    throw new RuntimeError("invalid-checkpoint", {
      part: "checkpoint",
      problem: `${source}: ${problem}`,
      cause,
    });
  };
  let value: unknown = {};
  try {
    if (json !== null) value = JSON.parse(json);
  } catch (cause) {
    return fail("is not JSON", cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !("dim" in value)) {
    value = {
      ...MOSHI_7B,
      ...(assumed === "personaplex" ? { dep_q: 16 } : {}),
      ...value,
      model_type: "moshi",
    };
  }
  const parsed = configFile.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return fail(`${issue.path.map(String).join(".") || "the document"}: ${issue.message}`, parsed.error);
  }
  const config = interpret(parsed.data, fail);
  const inconsistency = findInconsistency(config);
  if (inconsistency) return fail(inconsistency);
  return config;
}

/** Whether a checkpoint without a usable configuration is PersonaPlex: it predicts the user's codebooks as well. */
export function isPersonaPlex(tensorNames: { has(name: string): boolean }): boolean {
  return tensorNames.has("linears.15.weight") && !tensorNames.has("linears.16.weight");
}

/** Codebooks of the codec that a model speaks or hears with. */
export function codebooksOf(config: MoshiConfig): number {
  const all = Math.max(config.depQ, config.nQ - config.depQ);
  return config.tts?.multistream ? Math.floor(all / 2) : all;
}

function interpret(file: ConfigFile, fail: (problem: string) => never): MoshiConfig {
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
    names: file.audio_card === undefined ? "moshi" : "moshivis",
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
    textPadding: file.existing_text_padding_id ?? 3,
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
function depthOf(
  file: ConfigFile,
  hiddenScale: number,
  kvRepeat: number,
  fail: (problem: string) => never,
): DepthConfig {
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
  fail: (problem: string) => never,
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

function modelTypeOf(name: string | undefined, fail: (problem: string) => never): MoshiConfig["modelType"] {
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
function findInconsistency(config: MoshiConfig): string | null {
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
