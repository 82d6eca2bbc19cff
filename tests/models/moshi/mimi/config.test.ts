import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseMimiConfig, positionsPerFrame, RELEASED_MIMI } from "../../../../models/moshi/mimi/config.ts";
import { describeWithFixture } from "../fixtures.ts";

const FILE = {
  sample_rate: 24000,
  frame_rate: 12.5,
  channels: 1,
  seanet: {
    channels: 1,
    dimension: 512,
    causal: true,
    n_filters: 64,
    n_residual_layers: 1,
    activation: "ELU",
    compress: 2,
    dilation_base: 2,
    disable_norm_outer_blocks: 0,
    kernel_size: 7,
    residual_kernel_size: 3,
    last_kernel_size: 3,
    norm: "none",
    pad_mode: "constant",
    ratios: [8, 6, 5, 4],
    true_skip: true,
  },
  transformer: {
    d_model: 512,
    num_heads: 8,
    num_layers: 8,
    causal: true,
    layer_scale: 0.01,
    context: 250,
    conv_layout: true,
    max_period: 10000,
    gating: "none",
    norm: "layer_norm",
    positional_embedding: "rope",
    dim_feedforward: 2048,
  },
  quantizer: { dimension: 256, n_q: 32, bins: 2048 },
};

const parse = (file: unknown) => parseMimiConfig(JSON.stringify(file), "mimi_config.json");

it("reads the released codec's configuration, which is the default", () => {
  expect(parse(FILE)).toEqual(RELEASED_MIMI);
  expect(parse({ ...FILE, num_codebooks_used: 8 })).toEqual({ ...RELEASED_MIMI, nCodebooksUsed: 8 });
  expect(positionsPerFrame(RELEASED_MIMI)).toBe(2);
});

it.each<[string, object, string]>([
  ["another rate", { sample_rate: 16000 }, "sample_rate: "],
  ["two channels", { channels: 2 }, "channels: "],
  ["a missing part", { quantizer: undefined }, "quantizer: "],
  ["no ratios", { seanet: { ...FILE.seanet, ratios: [] } }, "seanet.ratios: "],
  ["a huge size", { seanet: { ...FILE.seanet, n_filters: 1e9 } }, "seanet.n_filters: "],
  ["a norm", { seanet: { ...FILE.seanet, norm: "weight_norm" } }, "seanet.norm: "],
  ["gating", { transformer: { ...FILE.transformer, gating: "silu" } }, "transformer.gating: "],
  [
    "ratios that do not divide a frame",
    { seanet: { ...FILE.seanet, ratios: [7] } },
    "seanet.ratios 7 do not cut 1920 samples into two or more positions",
  ],
  [
    "two widths for one thing",
    { seanet: { ...FILE.seanet, dimension: 256 } },
    "seanet.dimension 256 is not transformer.d_model 512",
  ],
  [
    "heads that do not divide",
    { transformer: { ...FILE.transformer, num_heads: 7 } },
    "transformer.num_heads 7 does not cut 512 into multiples of 4",
  ],
  [
    "an odd width",
    { quantizer: { ...FILE.quantizer, dimension: 250 } },
    "quantizer.dimension is 250, expected a multiple of 4",
  ],
  [
    "a context shorter than a frame",
    { transformer: { ...FILE.transformer, context: 1 } },
    "transformer.context 1 is less than the 2 positions of a frame",
  ],
  [
    "an inner layer that is no whole number of channels",
    { seanet: { ...FILE.seanet, compress: 3 } },
    "seanet.n_filters 64 is no multiple of compress 3",
  ],
  [
    "more codebooks than there are",
    { num_codebooks_used: 33 },
    "num_codebooks_used 33 is more than quantizer.n_q 32",
  ],
])("refuses %s", (_, change, message) => {
  expect(() => parse({ ...FILE, ...change })).toThrow(`mimi: mimi_config.json: ${message}`);
});

it("refuses what is not JSON", () => {
  expect(() => parseMimiConfig("{", "mimi_config.json")).toThrow("mimi: mimi_config.json: is not JSON");
});

for (const [set, codebooks] of [
  ["a/mimi_full", 8],
  ["b/mimi_full", 32],
] as const)
  describeWithFixture(set, ({ path }) => {
    it("is the released codec's", () => {
      const config = parseMimiConfig(readFileSync(`${path}mimi_config.json`, "utf8"), path);
      expect(config).toEqual({ ...RELEASED_MIMI, nCodebooksUsed: codebooks });
    });
  });
