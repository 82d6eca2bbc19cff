import { expect, it } from "vitest";
import { fromHalf, quantize, toFloats, toHalf } from "../../../../kernels/matrix.ts";
import {
  createLanguageModel,
  type GpuLanguageModel,
  type GpuLanguageModelOptions,
} from "../../../../models/moshi/gpu/gpu-language-model.ts";
import type { FrameInput, FrameOutput, LanguageModel } from "../../../../models/moshi/language-model.ts";
import { watch } from "../../../gpu/watch.ts";
import { describeOnGpu, gaussian, integers } from "../../../kernels/harness.ts";
import { expectWithin } from "../fixtures.ts";
import { type RandomCheckpoint, randomCheckpoint, SMALL } from "./random-checkpoint.ts";

const GREEDY = { temperature: 0, topK: 0 };
const OPTIONS: GpuLanguageModelOptions = { format: "f32", text: GREEDY, audio: GREEDY, seed: 1 };
/** Software adapters compile for seconds. */
const TIMEOUT_MS = 120_000;

/** Logits of size 1 after some dozen sums over 32 to 90 products in f32: errors stay below 1e-5. */
const LIMIT = 3e-5;

/** Layers that see: more than the ten that tell how far their gates were open. */
const SEEING = { ...SMALL, num_layers: 11, cross_attention: true, xa_gating: "sigmoid" };
const MAX_TOKENS = 40;
const DIM = SMALL.dim;

/** Frames of a session; `image` at those that bring one. */
function frames({ config }: RandomCheckpoint, images: Record<number, Float32Array | null>, count: number) {
  return Array.from({ length: count }, (_, t): FrameInput => {
    const audio = integers(t, config.nQ, config.card + 1);
    const text = integers(1000 + t, 1, config.textCard + 1)[0]!;
    const image = images[t];
    return {
      tokens: Int32Array.of(text, ...audio),
      inspect: true,
      ...(image === undefined ? {} : { image }),
    };
  });
}

function expectSame(actual: FrameOutput, expected: FrameOutput): void {
  expectWithin(actual.inspected!.textLogits, expected.inspected!.textLogits, LIMIT);
  expectWithin(actual.inspected!.transformerOut, expected.inspected!.transformerOut, LIMIT);
  expectWithin(actual.inspected!.depthLogits, expected.inspected!.depthLogits, LIMIT);
  expect([actual.text, ...actual.audio]).toEqual([expected.text, ...expected.audio]);
  expect(actual.gateOpening === undefined).toBe(expected.gateOpening === undefined);
  expectWithin([actual.gateOpening ?? 0], [expected.gateOpening ?? 0], LIMIT);
}

describeOnGpu("a model that sees", (gpu) => {
  const seeing = randomCheckpoint(SEEING);
  const image = (seed: number, tokens: number) => gaussian(seed, tokens * DIM);

  async function withModel(
    checkpoint: RandomCheckpoint,
    options: Partial<GpuLanguageModelOptions>,
    use: (model: GpuLanguageModel) => Promise<void>,
  ): Promise<void> {
    const { config, tensors } = checkpoint;
    const given = { ...OPTIONS, maxImageTokens: MAX_TOKENS, ...options };
    const model = await createLanguageModel(gpu, config, tensors, given);
    try {
      await use(model);
    } finally {
      await model.close();
    }
  }

  it("gives what double precision gives: blind, with an image, a larger one, a smaller one, and blind again", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const inputs = frames(seeing, { 2: image(1, 9), 5: image(2, MAX_TOKENS), 7: image(3, 1), 9: null }, 11);
    const reference = seeing.reference();
    await withModel(seeing, {}, async (model) => {
      const first: FrameOutput[] = [];
      for (const input of inputs) {
        first.push(await model.frame(input));
        expectSame(first.at(-1)!, await reference.frame(input));
      }
      expect(first.map(({ gateOpening }) => gateOpening !== undefined)).toEqual(
        inputs.map((_, t) => t >= 2 && t < 9),
      );
      // A session that ended with an image in sight leaves none to the next.
      await model.frame({ ...inputs[0]!, image: image(4, 7) });
      await model.reset();
      for (const [t, input] of inputs.entries()) expect(await model.frame(input)).toEqual(first[t]);
    });
  });

  it("is another model with another image, and the same without", { timeout: TIMEOUT_MS }, async () => {
    const logits = async (model: LanguageModel, given: Float32Array | null) => {
      await model.reset();
      const [input] = frames(seeing, { 0: given }, 1);
      return [...(await model.frame(input!)).inspected!.textLogits];
    };
    await withModel(seeing, {}, async (model) => {
      const blind = await logits(model, null);
      const one = await logits(model, image(1, 9));
      const far = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
      expect(far(one, blind)).toBeGreaterThan(100 * LIMIT);
      expect(far(one, await logits(model, image(2, 9)))).toBeGreaterThan(100 * LIMIT);
      expect(await logits(model, null)).toEqual(blind);
    });
  });

  it("reads its image once, and allocates nothing for it", { timeout: TIMEOUT_MS }, async () => {
    await withModel(seeing, {}, async (model) => {
      const layers = SEEING.num_layers;
      // Embedding, output norm, head, draw; a layer: 6. With an image a layer has 6 more: query, attention, out, gate (3).
      expect(model.network.countDispatches(2).temporal).toBe(4 + 6 * layers);
      const created = { ...gpu.created };
      const submissions: string[] = [];
      const restore = watch(submissions, gpu.device.queue, /^submit$/);
      try {
        for (const input of frames(seeing, { 1: image(1, 9) }, 3)) await model.frame(input);
      } finally {
        restore();
      }
      expect(model.network.countDispatches(2).temporal).toBe(4 + 12 * layers);
      // One a frame, and one that makes the image's keys and values.
      expect(submissions).toHaveLength(4);
      expect(gpu.created).toEqual(created);
    });
  });

  it("holds its gates and projections in q8 where they fit blocks", { timeout: TIMEOUT_MS }, async () => {
    // A gate of 256 / 8 = 32 columns is a whole block.
    const wide = { ...SEEING, dim: 256, num_layers: 2, hidden_scale: 3, depformer_dim_feedforward: 96 };
    const checkpoint = randomCheckpoint(wide);
    const halves = (data: Float32Array) => data.map((value) => fromHalf(toHalf(value)));
    const reference = checkpoint.reference({}, (name, data) => {
      if (name.endsWith(".alpha")) return data;
      const isLayer = /self_attn|gating|depformer_in|cross_attention/.test(name);
      return isLayer ? toFloats(quantize(data)) : halves(data);
    });
    await withModel(checkpoint, { format: "q8", cacheFormat: "f32" }, async (model) => {
      for (const input of frames(checkpoint, { 1: gaussian(1, 5 * 256) }, 3)) {
        const { inspected } = await model.frame(input);
        const expected = await reference.frame(input);
        expectWithin(inspected!.textLogits, expected.inspected!.textLogits, 3 * LIMIT);
      }
    });
  });

  it("refuses images that do not fit, and goes on", { timeout: TIMEOUT_MS }, async () => {
    const tokens = new Int32Array(1 + SMALL.n_q);
    await withModel(seeing, {}, async (model) => {
      for (const wrong of [0, DIM + 1, (MAX_TOKENS + 1) * DIM]) {
        await expect(model.frame({ tokens, image: new Float32Array(wrong) })).rejects.toThrow(
          `language model: an image holds ${wrong} elements, expected 1 to 40 rows of 32`,
        );
      }
      await model.frame({ tokens, image: image(1, MAX_TOKENS) });
    });
    const blind = randomCheckpoint(SMALL);
    await withModel(blind, {}, async (model) => {
      await expect(model.frame({ tokens, image: image(1, 1) })).rejects.toThrow(
        "an image was given to a model that sees nothing",
      );
      await model.frame({ tokens, image: null });
    });
  });

  it.each([
    [{ maxImageTokens: 0 }, "maxImageTokens is 0, expected at least 1"],
    [{ guidance: { coefficient: 2, conditions: {} } }, "guidance was given to a model that sees images"],
    [{ conditions: { cross: new Float32Array(32) } }, "a model that does not attend to it"],
  ])("refuses a session that cannot be: %j", async (options, message) => {
    await expect(withModel(seeing, options, async () => {})).rejects.toThrow(message);
  });
});
