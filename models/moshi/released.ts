import { type MoshiConfig, parseMoshiConfig } from "./config.ts";

const acoustic = (count: number, delay: number) => [0, ...new Array<number>(count - 1).fill(delay)];
/** Steps 0 to 7 with weights of their own, then eight steps with each further set. */
const schedule = (sets: number) =>
  Array.from({ length: 8 * (sets - 7) }, (_, step) => (step < 8 ? step : 7 + Math.floor(step / 8)));

const DEPTH = { depformer_dim: 1024, depformer_num_heads: 16, depformer_num_layers: 6 };
const LUT = {
  type: "lut",
  lut: { n_bins: 31, dim: 16, possible_values: ["very_bad", "bad", "neutral", "good", "very_good"] },
};

interface Released {
  model: object;
  /** See `parseMoshiConfig`. */
  assumed?: "personaplex" | "moshivis";
  crossLength?: number;
}

/**
 * Shapes of the released models, for what is to be known before a checkpoint is there. What a checkpoint's own config.json
 * says goes before.
 */
const RELEASED = {
  "moshi-7b": { model: {} },
  "personaplex-7b": { model: {}, assumed: "personaplex" },
  // An image of 32 by 32 patches.
  "moshivis-7b": { model: {}, assumed: "moshivis", crossLength: 1024 },
  "hibiki-1b": {
    model: {
      model_type: "hibiki",
      dim: 2048,
      num_layers: 16,
      num_heads: 16,
      hidden_scale: 4.125,
      context: 500,
      max_period: 100_000,
      n_q: 16,
      dep_q: 8,
      card: 2048,
      text_card: 48_000,
      delays: [0, ...acoustic(8, 2), ...acoustic(8, 2)],
      ...DEPTH,
      depformer_dim_feedforward: 4224,
      conditioners: { description: LUT },
      fuser: { sum: ["description"] },
    },
  },
  "hibiki-zero-3b": {
    model: {
      model_type: "hibiki",
      dim: 2048,
      num_layers: 28,
      num_heads: 16,
      kv_repeat: 2,
      hidden_scale: 6,
      context: 3000,
      max_period: 20_000,
      positional_embedding: "rope_concat",
      n_q: 32,
      dep_q: 16,
      card: 2048,
      text_card: 48_000,
      delays: [0, ...acoustic(16, 2), ...acoustic(16, 2)],
      ...DEPTH,
      depformer_dim_feedforward: null,
      depformer_weights_per_step_schedule: schedule(9),
      depformer_norm: "layer_norm",
    },
  },
  "stt-1b": {
    model: {
      model_type: "stt",
      dim: 2048,
      num_layers: 16,
      num_heads: 16,
      hidden_scale: 4.125,
      context: 750,
      max_period: 100_000,
      n_q: 32,
      dep_q: 0,
      card: 2048,
      text_card: 8000,
      delays: new Array<number>(33).fill(0),
    },
  },
  "stt-2.6b": {
    model: {
      model_type: "stt",
      dim: 2048,
      num_layers: 48,
      num_heads: 32,
      hidden_scale: 4.125,
      context: 375,
      max_period: 100_000,
      n_q: 32,
      dep_q: 0,
      card: 2048,
      text_card: 4000,
      delays: new Array<number>(33).fill(0),
    },
  },
  "tts-1.6b": {
    model: {
      model_type: "tts",
      dim: 2048,
      num_layers: 16,
      num_heads: 16,
      hidden_scale: 4.125,
      context: 500,
      n_q: 32,
      dep_q: 32,
      card: 2048,
      text_card: 8000,
      delays: [0, ...acoustic(32, 2)],
      ...DEPTH,
      depformer_num_layers: 4,
      depformer_dim_feedforward: 3072,
      depformer_weights_per_step_schedule: schedule(11),
      depformer_low_rank_embeddings: 128,
      demux_second_stream: true,
      cross_attention: true,
      conditioners: { speaker_wavs: { type: "tensor", tensor: { dim: 512 } } },
      fuser: { cross: ["speaker_wavs"], cross_attention_pos_emb: true },
    },
    // Five voices of 125 vectors.
    crossLength: 625,
  },
} satisfies Record<string, Released>;

export const RELEASED_MODELS = Object.keys(RELEASED) as (keyof typeof RELEASED)[];

/** Where the released models are published, as far as the name of a repository tells which it is. */
const REPOSITORIES: readonly [RegExp, keyof typeof RELEASED][] = [
  [/^kyutai\/moshi(ko|ka)-vis-/, "moshivis-7b"],
  [/^kyutai\/moshi(ko|ka)-/, "moshi-7b"],
  [/^nvidia\/personaplex-7b/, "personaplex-7b"],
  [/^kyutai\/hibiki-1b-/, "hibiki-1b"],
  [/^kyutai\/hibiki-zero-3b/, "hibiki-zero-3b"],
  [/^kyutai\/stt-1b-/, "stt-1b"],
  [/^kyutai\/stt-2\.6b-/, "stt-2.6b"],
  [/^kyutai\/tts-1\.6b-/, "tts-1.6b"],
];

export interface ReleasedModel {
  config: MoshiConfig;
  /** Vectors that its cross-attention attends to. */
  crossLength: number;
}

/** The shapes of a released model by its short name (`hibiki-1b`) or its repository (`kyutai/hibiki-1b-pytorch-bf16`); null for another name. */
export function releasedModel(name: string): ReleasedModel | null {
  const known = REPOSITORIES.find(([repository]) => repository.test(name))?.[1] ?? name;
  if (!isReleased(known)) return null;
  const released: Released = RELEASED[known];
  const { model, assumed = "moshi", crossLength = 0 } = released;
  return { config: parseMoshiConfig(JSON.stringify(model), known, assumed), crossLength };
}

function isReleased(name: string): name is keyof typeof RELEASED {
  return Object.hasOwn(RELEASED, name);
}
