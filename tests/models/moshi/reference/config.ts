/** The shape of a network, read from a published config.json (facts: keys map one to one to the constructor's). */
export interface ReferenceConfig {
  dim: number;
  nHeads: number;
  kvRepeat: number;
  nLayers: number;
  gatedDim: number;
  /** Keys a step sees, itself included. */
  context: number;
  maxPeriod: number;
  /** Rotary pairs are (j, j + headDim / 2) rather than (2j, 2j + 1). */
  ropeHalves: boolean;
  textCard: number;
  card: number;
  nQ: number;
  depQ: number;
  delays: readonly number[];
  demux: boolean;
  /** "plain": of its own in each layer. "gated": in common but for a norm and a gate. */
  crossAttention: "none" | "plain" | "gated";
  extraHeads: { count: number; classes: number };
  depth: {
    dim: number;
    nHeads: number;
    nLayers: number;
    gatedDim: number;
    /** Weight set of each step. */
    schedule: readonly number[];
    lowRank: number | null;
    /** LayerNorm before each codebook's logits. */
    outputNorm: boolean;
    /** Steps that a step sees, itself included. */
    window: number;
  };
}

type Json = Record<string, unknown>;

/** Width of the gated layer for the width that a plain one would have. */
export function gatedWidth(dim: number, feedForward: number): number {
  return feedForward === 4 * dim ? Math.floor((21 * dim) / 8) : Math.floor((2 * feedForward) / 3);
}

export function referenceConfig(json: Json): ReferenceConfig {
  const number = (key: string, otherwise: number): number =>
    (json[key] as number | null | undefined) ?? otherwise;
  const dim = number("dim", 0);
  const hiddenScale = number("hidden_scale", 4.125);
  const depQ = number("dep_q", 8);
  const depthDim = number("depformer_dim", 1024);
  const depthFeedForward = number("depformer_dim_feedforward", Math.floor(hiddenScale * depthDim));
  const schedule = json.depformer_weights_per_step_schedule as number[] | null | undefined;
  return {
    dim,
    nHeads: number("num_heads", 0),
    kvRepeat: number("kv_repeat", 1),
    nLayers: number("num_layers", 0),
    gatedDim: gatedWidth(dim, Math.floor(hiddenScale * dim)),
    context: number("context", 0),
    maxPeriod: number("max_period", 10_000),
    ropeHalves: json.positional_embedding === "rope_concat",
    textCard: number("text_card", 0),
    card: number("card", number("audio_card", 0)),
    nQ: number("n_q", 0),
    depQ,
    delays: json.delays as number[],
    demux: json.demux_second_stream === true,
    crossAttention: json.cross_attention !== true ? "none" : json.xa_gating ? "gated" : "plain",
    extraHeads: { count: number("extra_heads_num_heads", 0), classes: number("extra_heads_dim", 6) },
    depth: {
      dim: depthDim,
      nHeads: number("depformer_num_heads", 16),
      nLayers: depQ === 0 ? 0 : number("depformer_num_layers", 6),
      gatedDim: gatedWidth(depthDim, depthFeedForward),
      schedule: schedule ?? Array.from({ length: depQ }, (_, k) => k),
      lowRank: (json.depformer_low_rank_embeddings as number | null | undefined) ?? null,
      window: depQ,
      outputNorm: json.depformer_norm === "layer_norm",
    },
  };
}
