import { describe, expect, it } from "vitest";
import {
  assumedModel,
  codebooksOf,
  type MoshiConfig,
  parseMoshiConfig,
} from "../../../models/moshi/config.ts";
import { describeWithFixture } from "./fixtures.ts";

/** A configuration that says all a model needs, small. */
const SMALL = {
  dim: 64,
  num_layers: 2,
  num_heads: 4,
  hidden_scale: 4.125,
  context: 32,
  n_q: 3,
  dep_q: 2,
  card: 61,
  text_card: 97,
  delays: [0, 0, 1, 0],
  depformer_dim: 32,
  depformer_num_layers: 2,
  depformer_num_heads: 4,
};

function parse(changes: Record<string, unknown> = {}): MoshiConfig {
  return parseMoshiConfig(JSON.stringify({ ...SMALL, ...changes }), "config.json");
}

describe("a configuration of the Moshi family", () => {
  it("is Moshi 7B where there is none, and PersonaPlex where its tensors say so", () => {
    const moshi = parseMoshiConfig(null, "config.json");
    expect(moshi.temporal).toEqual({
      dim: 4096,
      nLayers: 32,
      nHeads: 32,
      nKvHeads: 32,
      headDim: 128,
      ffDim: 11_264,
    });
    expect(moshi.depth).toMatchObject({ dim: 1024, nLayers: 6, nHeads: 16, ffDim: 2816, nWeightSets: 8 });
    expect([moshi.nQ, moshi.depQ, moshi.context, codebooksOf(moshi)]).toEqual([16, 8, 3000, 8]);
    const text = JSON.stringify({ model_type: "personaplex", version: "1.0" });
    const personaPlex = parseMoshiConfig(text, "config.json", "personaplex");
    expect([personaPlex.depQ, personaPlex.depth?.nWeightSets, codebooksOf(personaPlex)]).toEqual([
      16, 16, 16,
    ]);
    expect(assumedModel(["linears.15.weight"])).toBe("personaplex");
    expect(assumedModel(["linears.7.weight"])).toBe("moshi");
    expect(assumedModel(["linears.15.weight", "linears.16.weight"])).toBe("moshi");
  });

  it("is MoshiVis where gates are among its tensors, by any release's names", () => {
    const gate = "transformer.layers.0.cross_attention.gate.alpha";
    for (const name of [`llm.${gate}.0.weight`, `${gate}.0.weight`, `${gate}.layers.0.weight`]) {
      expect(assumedModel(["out_norm.weight", name])).toBe("moshivis");
    }
    expect(assumedModel(["transformer.layers.0.cross_attention.in_proj_weight"])).toBe("moshi");
    const config = parseMoshiConfig(null, "config.json", "moshivis");
    expect(config).toMatchObject({ crossAttention: "gated", nQ: 16, depQ: 8, modelType: "moshi" });
  });

  it.each([
    [{ xa_dim: 1152 }, "xa_dim"],
    [{ xa_layers: [3] }, "images are seen by every layer or none"],
    [{ xa_gating: "tanh" }, "xa_gating"],
    [{ xa_gate_shared: true }, "xa_gate_shared"],
  ])("refuses what no released model does with images: %j", (changes, message) => {
    expect(() => parse({ cross_attention: true, xa_gating: "sigmoid", ...changes })).toThrow(message);
  });

  it.each([
    // dim, layers, heads, hidden_scale, width: the released models.
    [4096, 4.125, 11_264],
    [2048, 4.125, 5632],
    [2560, 4.125, 7040],
    [2048, 6, 8192],
    [4096, 4, 10_752],
  ])("has gated MLPs as wide as the released ones: %i x %d", (dim, hidden_scale, width) => {
    expect(parse({ dim, hidden_scale }).temporal.ffDim).toBe(width);
  });

  it.each([
    [1024, 4224, 2816],
    [1024, 3072, 2048],
    [1024, null, 4096],
    [48, 192, 126],
  ])("depth transformer of %i with a feed-forward of %s has a width of %i", (dim, forward, width) => {
    const config = parse({ hidden_scale: 6, depformer_dim: dim, depformer_dim_feedforward: forward });
    expect(config.depth?.ffDim).toBe(width);
  });

  it("hands kv_repeat down to the depth transformer unless that has its own", () => {
    expect(parse({ kv_repeat: 2 }).temporal.nKvHeads).toBe(2);
    expect(parse({ kv_repeat: 2 }).depth?.nKvHeads).toBe(2);
    expect(parse({ kv_repeat: 2, depformer_kv_repeat: 1 }).depth?.nKvHeads).toBe(4);
  });

  it("takes either spelling of the text temperature", () => {
    expect(parse({ lm_gen_config: { temp_text: 0.5 } }).sampling.textTemperature).toBe(0.5);
    expect(parse({ lm_gen_config: { text_temp: 0.6 } }).sampling.textTemperature).toBe(0.6);
    expect(parse().sampling.textTemperature).toBeNull();
  });

  it("halves the codebooks of a model of two voices", () => {
    expect(codebooksOf(parse({ n_q: 3, tts_config: { multistream: true } }))).toBe(1);
  });

  it.each([
    ["dim", { dim: 1e9 }],
    ["dim", { dim: 63 }],
    ["dim", { dim: "64" }],
    ["num_heads", { num_heads: 32 }],
    ["num_layers", { num_layers: 0 }],
    ["kv_repeat", { kv_repeat: 3 }],
    ["context", { context: 1e12 }],
    ["n_q", { n_q: -1 }],
    ["n_q", { n_q: 1e6 }],
    ["dep_q", { dep_q: 4, depformer_weights_per_step_schedule: [0, 1, 2, 3] }],
    ["delays", { delays: [0, 0] }],
    ["delays", { delays: [0, 0, 1e9, 0] }],
    ["delays", { delays: new Array(1e5).fill(0) }],
    ["card", { card: undefined }],
    ["text_card", { text_card: 1e9 }],
    ["max_period", { max_period: 0 }],
    ["hidden_scale", { hidden_scale: 1e9 }],
    ["norm", { norm: "layer_norm" }],
    ["positional_embedding", { positional_embedding: "sin" }],
    ["gating", { gating: "none" }],
    ["causal", { causal: false }],
    ["layer_scale", { layer_scale: 0.01 }],
    ["depformer_pos_emb", { depformer_pos_emb: "sin" }],
    ["depformer_weights_per_step", { depformer_weights_per_step: false }],
    ["depformer_dim", { depformer_dim: undefined }],
    ["depformer_norm", { depformer_norm: "rms_norm" }],
    ["depformer_weights_per_step_schedule", { depformer_weights_per_step_schedule: [0] }],
    ["depformer_weights_per_step_schedule.1", { depformer_weights_per_step_schedule: [0, 1e9] }],
    ["model_type", { model_type: "llama" }],
    ["fuser", { fuser: { sum: ["speaker"] } }],
    ["fuser.prepend", { fuser: { prepend: ["speaker"] } }],
    [
      "conditioners.x",
      { conditioners: { x: { type: "lut", lut: { n_bins: 1, dim: 4, possible_values: ["a", "b"] } } } },
    ],
    ["conditioners.x", { conditioners: { x: { type: "clap" } } }],
    ["existing_text_padding_id", { existing_text_padding_id: 97 }],
  ])("refuses %s: %j", (field, changes) => {
    const named = new RegExp(`^checkpoint: config.json: ${field.replaceAll(".", "\\.")}`);
    expect(() => parse(changes)).toThrow(
      expect.objectContaining({ code: "invalid-checkpoint", message: expect.stringMatching(named) }),
    );
  });

  it.each(["", "{", "[]", "null", "7", '"dim"'])("refuses what is no configuration: %s", (text) => {
    expect(() => parseMoshiConfig(text, "config.json")).toThrow(
      expect.objectContaining({ code: "invalid-checkpoint" }),
    );
  });
});

/** What each set's own description says of it. */
const SETS: Record<string, (config: MoshiConfig) => void> = {
  "a/lm": (config) => {
    expect(config.temporal).toMatchObject({ dim: 64, nLayers: 2, ffDim: 176 });
    expect(config.depth).toMatchObject({ ffDim: 88, nWeightSets: 8, lowRank: null, outputNorm: false });
  },
  "a/personaplex": (config) => expect(config.depQ).toBe(16),
  "b/lm_hibiki": (config) => {
    expect(config).toMatchObject({ modelType: "hibiki", fuser: { sum: ["description"], cross: [] } });
    expect(config.depth).toMatchObject({ nWeightSets: 9, lowRank: 16, ffDim: 126 });
    expect(config.conditioners.get("description")).toMatchObject({ kind: "lut", nBins: 31, dim: 16 });
  },
  "b/lm_hibiki_zero": (config) => {
    expect(config.temporal).toMatchObject({ nHeads: 4, nKvHeads: 2, ffDim: 256 });
    expect(config.rotary).toEqual({ layout: "halves", maxPeriod: 20_000 });
    expect(config.depth).toMatchObject({ outputNorm: true, nKvHeads: 4, ffDim: 128, nWeightSets: 5 });
  },
  "b/lm_stt": (config) => {
    expect(config).toMatchObject({ modelType: "stt", depQ: 0, depth: null });
    expect(config.extraHeads).toEqual({ count: 4, classes: 6 });
    expect(config.stt).toEqual({ audioDelaySeconds: 0.5, silencePrefixSeconds: 0 });
    expect(config.sampling.textTemperature).toBe(0);
  },
  "b/lm_tts": (config) => {
    expect(config).toMatchObject({ modelType: "tts", demux: true, crossAttention: "plain" });
    expect(config.tts).toMatchObject({ audioDelaySeconds: 1.28, secondStreamAhead: 2 });
    expect(config.fuser).toEqual({ sum: ["control", "cfg"], cross: ["speaker_wavs"], crossPositionScale: 1 });
  },
  "b/lm_moshivis": (config) => {
    expect(config).toMatchObject({ modelType: "moshi", crossAttention: "gated", card: 53, textPadding: 3 });
    expect([config.nQ, config.depQ, config.delays[2], config.normEps]).toEqual([16, 8, 1, 1e-8]);
  },
};

for (const [set, check] of Object.entries(SETS)) {
  describeWithFixture(set, (fixture) => {
    it("has a configuration that is understood", () => {
      check(parseMoshiConfig(JSON.stringify(fixture.json("config.json")), set));
    });
  });
}
