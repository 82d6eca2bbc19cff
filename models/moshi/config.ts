import { checked, failFor, isRecord, jsonOf } from "../tensors/json.ts";
import { configFile } from "./config-file.ts";
import { findInconsistency, interpret } from "./interpret-config.ts";

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

/** What a configuration without dimensions has that Moshi has not. */
const ASSUMED = {
  moshi: {},
  personaplex: { dep_q: 16 },
  moshivis: { cross_attention: true, xa_gating: "sigmoid" },
} as const;

/**
 * Parses a checkpoint's configuration. The first releases, PersonaPlex and MoshiVis come without one or with one that has
 * no dimensions: they are Moshi 7B.
 *
 * @param json The text of `config.json`, or null where there is none.
 * @param source For messages: the file's path.
 * @param assumed Which model a configuration without dimensions is of; see `assumedModel`.
 * @throws RuntimeError "invalid-checkpoint" naming the field and what was expected.
 */
export function parseMoshiConfig(
  json: string | null,
  source: string,
  assumed: keyof typeof ASSUMED = "moshi",
): MoshiConfig {
  const fail = failFor("checkpoint", source);
  let value = json === null ? {} : jsonOf(json, fail);
  if (isRecord(value) && !("dim" in value)) {
    value = { ...MOSHI_7B, ...ASSUMED[assumed], ...value, model_type: "moshi" };
  }
  const config = interpret(checked(configFile, value, fail), fail);
  const inconsistency = findInconsistency(config);
  if (inconsistency) return fail(inconsistency);
  return config;
}

/**
 * What a checkpoint without a usable configuration is, by its tensors: PersonaPlex predicts the user's codebooks as well,
 * and MoshiVis has gates, under names of its own.
 */
export function assumedModel(tensorNames: Iterable<string>): keyof typeof ASSUMED {
  const names = new Set(tensorNames);
  const isGated = [...names].some((name) => name.includes(".layers.0.cross_attention.gate.alpha."));
  if (isGated) return "moshivis";
  return names.has("linears.15.weight") && !names.has("linears.16.weight") ? "personaplex" : "moshi";
}

/** Codebooks of the codec that a model speaks or hears with. */
export function codebooksOf(config: MoshiConfig): number {
  const all = Math.max(config.depQ, config.nQ - config.depQ);
  return config.tts?.multistream ? Math.floor(all / 2) : all;
}
