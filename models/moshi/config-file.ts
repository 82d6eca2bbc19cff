import { z } from "zod";

const count = (max: number) => z.int().min(1).max(max);
const upTo = (max: number) => z.int().min(0).max(max);
const name = z.string().min(1).max(500);
const seconds = z.number().min(0).max(600);

/** What only one value is implemented for: absent, null or this. */
const only = <T extends string | boolean | number>(value: T) => z.literal(value).nullish();

const conditioner = z.union([
  z.looseObject({
    type: z.literal("lut"),
    lut: z.looseObject({
      n_bins: count(100_000),
      dim: count(16_384),
      possible_values: z.array(z.string().max(200)).max(100_000),
    }),
  }),
  z.looseObject({ type: z.literal("tensor"), tensor: z.looseObject({ dim: count(16_384) }) }),
]);

/**
 * A `config.json` of the Moshi family as published: the hyper-parameters of the language model and, beside them, the
 * names of the other files and the settings of generation. What is not named here is not looked at.
 */
export const configFile = z.looseObject({
  model_type: z.string().max(50).optional(),
  moshi_name: name.nullish(),
  mimi_name: name.nullish(),
  mimi_config_name: name.nullish(),
  tokenizer_name: name.nullish(),
  lora_name: name.nullish(),

  dim: count(16_384),
  num_layers: count(256),
  num_heads: count(256),
  kv_repeat: count(64).optional(),
  hidden_scale: z.number().min(0.25).max(64).optional(),
  context: count(100_000),
  max_period: z.number().min(1).max(1e9).optional(),
  positional_embedding: z.enum(["rope", "rope_concat"]).optional(),
  norm: z.enum(["rms_norm", "rms_norm_f32", "real_rms_norm", "real_rms_norm_f32"]).optional(),
  n_q: count(64),
  dep_q: upTo(64),
  card: count(65_536).optional(),
  audio_card: count(65_536).optional(),
  text_card: count(1_000_000),
  text_card_out: count(1_000_000).nullish(),
  existing_text_padding_id: upTo(1_000_000).optional(),
  padding_token_id: upTo(1_000_000).optional(),
  delays: z.array(upTo(1000)).max(129),
  demux_second_stream: z.boolean().optional(),
  cross_attention: z.boolean().optional(),
  extra_heads_num_heads: upTo(64).optional(),
  extra_heads_dim: count(1024).optional(),
  lora: z.boolean().nullish(),
  lora_scaling: z.number().min(0).max(1000).nullish(),

  depformer_dim: count(16_384).optional(),
  depformer_num_layers: count(256).optional(),
  depformer_num_heads: count(256).optional(),
  depformer_kv_repeat: count(64).optional(),
  depformer_dim_feedforward: count(1_000_000).nullish(),
  depformer_weights_per_step_schedule: z.array(upTo(63)).max(64).nullish(),
  depformer_low_rank_embeddings: count(16_384).nullish(),
  depformer_norm: z.literal("layer_norm").nullish(),

  conditioners: z.record(z.string().min(1).max(100), conditioner).nullish(),
  fuser: z
    .looseObject({
      sum: z.array(z.string().max(100)).max(64).optional(),
      cross: z.array(z.string().max(100)).max(64).optional(),
      prepend: z
        .array(z.string())
        .max(0, "conditions put before the first step are not supported")
        .optional(),
      cross_attention_pos_emb: z.boolean().optional(),
      cross_attention_pos_emb_scale: z.number().min(0).max(1000).optional(),
    })
    .nullish(),

  lm_gen_config: z
    .looseObject({
      temp: z.number().min(0).max(100).optional(),
      top_k: upTo(1_000_000).optional(),
      temp_text: z.number().min(0).max(100).optional(),
      text_temp: z.number().min(0).max(100).optional(),
      top_k_text: upTo(1_000_000).optional(),
      text_topk: upTo(1_000_000).optional(),
    })
    .nullish(),
  tts_config: z
    .looseObject({
      audio_delay: seconds.optional(),
      second_stream_ahead: upTo(1000).optional(),
      multistream: z.boolean().optional(),
    })
    .nullish(),
  stt_config: z
    .looseObject({
      audio_delay_seconds: seconds.optional(),
      audio_silence_prefix_seconds: seconds.optional(),
    })
    .nullish(),

  causal: only(true),
  layer_scale: z.null().optional(),
  gating: z.union([z.literal("silu"), z.literal(true)]).optional(),
  norm_emb: only(false),
  bias_proj: only(false),
  depformer_multi_linear: only(true),
  depformer_weights_per_step: only(true),
  depformer_pos_emb: only("none"),
  depformer_gating: z.union([z.literal("silu"), z.literal(true)]).nullish(),
  depformer_layer_scale: z.null().optional(),
  xa_gating: only("sigmoid"),
  xa_conditional_gating: only(true),
  xa_shared: only(true),
  xa_gate_shared: only(false),
  xa_delay: only(0),
  xa_start: only("start"),
  xa_end: only("end"),
  xa_step: only(1),
  xa_dim: z.null().optional(),
  xa_layers: z.array(z.int()).max(0, "images are seen by every layer or none").nullish(),
});

export type ConfigFile = z.infer<typeof configFile>;
