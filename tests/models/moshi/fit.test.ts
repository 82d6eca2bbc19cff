import { describe, expect, test } from "vitest";
import { attentionDispatches } from "../../../kernels/attention/attention.ts";
import { codecCost, codecUse } from "../../../models/moshi/codec-cost.ts";
import {
  addCosts,
  type FrameCostOptions,
  frameCost,
  frameSeconds,
  realTimeFactor,
} from "../../../models/moshi/fit.ts";
import { createLanguageModel } from "../../../models/moshi/gpu/gpu-language-model.ts";
import { RELEASED_MODELS, releasedModel } from "../../../models/moshi/released.ts";
import { describeOnGpu, gaussian } from "../../kernels/harness.ts";
import { randomCheckpoint, SMALL } from "./gpu/random-checkpoint.ts";

const half: FrameCostOptions = {
  formats: { temporal: "f16", depth: "f16" },
  window: 1,
  attentionDispatches: () => 1,
};

describe("what a frame costs", () => {
  // Bytes of the published bf16 files. Ours leave out norms, header and, for tts, the conditioners: less than a hundredth.
  test.each([
    ["moshi-7b", 15_375e6, 0],
    ["personaplex-7b", 16_743e6, 0],
    ["stt-1b", 1_978_423_520, 0],
    ["stt-2.6b", 5_234_275_128, 0],
    // Keys and values of cross-attention are made once, and low_rank of the depth text embedding is never used.
    ["tts-1.6b", 3_683_719_712, 2 * (16 * 2 * 2048 ** 2 + 1024 * 128)],
  ])("%s takes the memory of its published file", (name, published, unkept) => {
    const { config } = releasedModel(name)!;
    const window = config.temporal.nKvHeads * config.temporal.headDim * config.temporal.nLayers * 4;
    const { memoryBytes } = frameCost(config, { ...half, crossLength: name === "tts-1.6b" ? 1 : 0 });
    const cache = name === "tts-1.6b" ? 2 * window : window;
    const share = (memoryBytes - cache) / (published - unkept);
    expect(share).toBeLessThan(1.0005);
    expect(share).toBeGreaterThan(name === "tts-1.6b" ? 0.99 : 0.9985);
  });

  test("every released model has a cost, and each frame reads each weight of the temporal transformer once", () => {
    for (const name of RELEASED_MODELS) {
      const { config, crossLength } = releasedModel(name)!;
      const cost = frameCost(config, { ...half, crossLength });
      expect(cost.dispatches, name).toBeGreaterThan(6 * config.temporal.nLayers);
      expect(cost.weightBytes.f16, name).toBeGreaterThan(1e9);
    }
    // By hand: 32 layers of 4 d^2 + 3 d h, the text head, and eight depth steps of 6 layers, an input and a head each.
    const depth = 8 * (6 * (4 * 1024 ** 2 + 3 * 1024 * 2816) + 1024 * 4096 + 2048 * 1024);
    const temporal = 32 * (4 * 4096 ** 2 + 3 * 4096 * 11_264) + 32_000 * 4096;
    expect(frameCost(releasedModel("moshi-7b")!.config, half).weightBytes.f16).toBe(2 * (temporal + depth));
  });

  test("an image costs its gates and projections in every layer, which are held once but for the gates", () => {
    const d = 4096;
    const seeing = (crossLength: number) =>
      frameCost(releasedModel("moshivis-7b")!.config, { ...half, crossLength });
    const plain = frameCost(releasedModel("moshi-7b")!.config, half);
    const [gates, slot] = [32 * 2 * d * (d / 8), 2 * d * 2];
    const { weightBytes, cacheBytes, memoryBytes } = seeing(1024);
    expect(weightBytes.f16 - plain.weightBytes.f16).toBe(2 * (32 * 2 * d * d + gates));
    expect(cacheBytes - plain.cacheBytes).toBe(32 * 1024 * slot);
    expect(memoryBytes - plain.memoryBytes).toBe(2 * (4 * d * d + gates) + 1024 * slot);
    // Without an image in sight a frame is a Moshi's, and what an image needs is held all the same.
    expect(seeing(0)).toMatchObject({ weightBytes: plain.weightBytes, dispatches: plain.dispatches });
    // The card says 206 million weights beyond Moshi's; the encoder's projection is among them.
    const added = gates + 4 * d * d + 1152 * d;
    expect(added / 206e6).toBeCloseTo(1, 1);
  });

  test("blocks of 32 cost their scales, and embeddings and heads stay halves", () => {
    const { config } = releasedModel("stt-1b")!;
    const cost = frameCost(config, { ...half, formats: { temporal: "q4", depth: "q4" } });
    expect(cost.weightBytes.q4).toBe((16 * (4 * 2048 ** 2 + 3 * 2048 * 5632) * 4.5) / 8);
    expect(cost.weightBytes.f16).toBe(2 * 8000 * 2048);
  });

  test("the window is read whole, keys and values, in halves but with weights of f32", () => {
    const { config } = releasedModel("moshi-7b")!;
    const elements = 3000 * 32 * 2 * 4096;
    expect(frameCost(config, { ...half, window: 3000 }).cacheBytes).toBe(2 * elements);
    const formats = { temporal: "f32", depth: "f32" } as const;
    expect(frameCost(config, { ...half, formats, window: 3000 }).cacheBytes).toBe(4 * elements);
  });

  test("a frame's time is its bytes at the adapter's pace and its dispatches one after the other", () => {
    const cost = {
      weightBytes: { f32: 0, f16: 2e9, q8: 1e9, q4: 0 },
      cacheBytes: 1e9,
      dispatches: 1000,
      memoryBytes: 0,
    };
    const speed = {
      copyBytesPerSecond: 200e9,
      dispatchSeconds: 5e-6,
      // What was not measured is not needed.
      matmulBytesPerSecond: { f32: 0, f16: 100e9, q8: 50e9, q4: 0 },
    };
    expect(frameSeconds(cost, speed)).toBeCloseTo(0.02 + 0.02 + 0.005 + 0.005, 12);
    expect(realTimeFactor(0.04)).toBe(2);
  });

  test("the codec takes the memory of its published file, and the dispatches that were counted of it", () => {
    const both = { encodes: true, decodes: true, nCodebooks: 32 };
    const { memoryBytes, cacheBytes } = codecCost(both, () => 1);
    // Two directions of 8 layers' keys and values of 512, for 250 positions.
    expect(cacheBytes).toBe(2 * 8 * 2 * 512 * 250 * 4);
    // Ours has the quantiser's output projections multiplied into the upsampling, and samples in rows of four.
    expect((memoryBytes - cacheBytes) / 384_644_900).toBeCloseTo(1, 1.7);
    const codec = (use: Partial<typeof both>) => codecCost({ ...both, nCodebooks: 8, ...use }, () => 1);
    expect(codec({ decodes: false }).dispatches).toBe(88);
    expect(codec({ encodes: false }).dispatches).toBe(80);
    expect(codec({}).dispatches).toBe(168);
    expect(codecCost(both, () => 2).dispatches).toBe(112 + 80 + 16);
  });

  test("a convolution's weights are read by every four positions", () => {
    const heard = codecCost({ encodes: true, decodes: false, nCodebooks: 1 }, () => 1).weightBytes.f32;
    // By hand, the released encoder from the samples on: folded, then residual and strided convolutions, then the last.
    const seanet =
      120 * 3 * 4 * 256 +
      480 * (3 * 64 * 32 + 32 * 64) +
      120 * 8 * 64 * 128 +
      120 * (3 * 128 * 64 + 64 * 128) +
      24 * 10 * 128 * 256 +
      24 * (3 * 256 * 128 + 128 * 256) +
      4 * 12 * 256 * 512 +
      4 * (3 * 512 * 256 + 256 * 512) +
      1 * 16 * 512 * 1024 +
      1 * 3 * 1024 * 512;
    const transformer = 8 * (4 * 512 ** 2 + 2 * 512 * 2048);
    const quantizer = 4 * 512 ** 2 + 2 * 256 * 512 + 2048 * 256;
    expect(heard).toBe(4 * (seanet + transformer + quantizer));
  });

  test("who only hears or only speaks needs one direction of the codec", () => {
    const use = (name: string) => codecUse(releasedModel(name)!.config);
    expect(use("stt-1b")).toEqual({ encodes: true, decodes: false, nCodebooks: 32 });
    expect(use("tts-1.6b")).toEqual({ encodes: false, decodes: true, nCodebooks: 32 });
    for (const name of ["moshi-7b", "personaplex-7b", "hibiki-1b"])
      expect(use(name), name).toEqual({ encodes: true, decodes: true, nCodebooks: 8 });
  });

  test("what two parts cost is added up", () => {
    const cost = {
      weightBytes: { f32: 1, f16: 2, q8: 3, q4: 4 },
      cacheBytes: 5,
      dispatches: 6,
      memoryBytes: 7,
    };
    expect(
      addCosts(cost, { ...cost, weightBytes: { f32: 10, f16: 20, q8: 30, q4: 40 }, dispatches: 60 }),
    ).toEqual({
      weightBytes: { f32: 11, f16: 22, q8: 33, q4: 44 },
      cacheBytes: 10,
      dispatches: 66,
      memoryBytes: 14,
    });
  });

  test.each([
    ["kyutai/moshiko-pytorch-bf16", 4096],
    ["kyutai/moshika-candle-q8", 4096],
    ["kyutai/moshika-vis-pytorch-bf16", 4096],
    ["nvidia/personaplex-7b-v1", 4096],
    ["kyutai/hibiki-1b-mlx-bf16", 2048],
    ["stt-2.6b", 2048],
  ])("%s is a released model", (name, dim) => {
    expect(releasedModel(name)?.config.temporal.dim).toBe(dim);
  });

  test.each(["moshi", "kyutai/unknown", "toString", ""])("%j is none", (name) => {
    expect(releasedModel(name)).toBeNull();
  });
});

describeOnGpu("the dispatches that are reckoned", (gpu) => {
  const GREEDY = { temperature: 0, topK: 0 };

  test.each([
    ["as Moshi", {}, 0],
    [
      "low rank and a norm per codebook",
      { depformer_low_rank_embeddings: 8, depformer_norm: "layer_norm" },
      0,
    ],
    [
      "two texts, cross-attention, shared sets",
      {
        demux_second_stream: true,
        cross_attention: true,
        depformer_low_rank_embeddings: 8,
        depformer_weights_per_step_schedule: [0, 0],
      },
      7,
    ],
    ["no audio, extra heads", { dep_q: 0, extra_heads_num_heads: 4, extra_heads_dim: 6 }, 0],
    ["an image in sight", { cross_attention: true, xa_gating: "sigmoid" }, 9],
  ])(
    "are those of the network that is built: %s",
    async (_, changes, crossLength) => {
      const { config, tensors } = randomCheckpoint({ ...SMALL, ...changes });
      const vectors = gaussian(1, crossLength * config.temporal.dim);
      const sees = config.crossAttention === "gated";
      const conditions = crossLength > 0 && !sees ? { cross: vectors } : {};
      const drawn = { format: "f32", text: GREEDY, audio: GREEDY, seed: 1 } as const;
      const model = await createLanguageModel(gpu, config, tensors, {
        ...drawn,
        conditions,
        ...(sees ? { maxImageTokens: crossLength } : {}),
      });
      model.network.see(sees ? vectors : null);
      const { temporal, depth } = model.network.countDispatches(config.depQ);
      await model.close();
      const reckoned = frameCost(config, {
        formats: { temporal: "f32", depth: "f32" },
        crossLength,
        attentionDispatches: (shape) => attentionDispatches(gpu, shape),
      });
      expect(reckoned.dispatches).toBe(temporal + depth);
    },
    60_000,
  );
});
