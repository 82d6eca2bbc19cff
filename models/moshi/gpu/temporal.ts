import { type CacheFormat, createSlotPositions, emptySlots } from "../../../kernels/kv-cache.ts";
import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import { createRmsNorm } from "../../../kernels/rms-norm/rms-norm.ts";
import {
  createSampleToken,
  type SampleToken,
  type TokenDraw,
} from "../../../kernels/sample-token/sample-token.ts";
import { createTokenEmbedding } from "../../../kernels/token-embedding/token-embedding.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import type { MoshiConfig } from "../config.ts";
import type { Draws, LanguageModelOptions } from "../language-model.ts";
import { type CrossCondition, createCrossAttention } from "./cross-attention.ts";
import type { FrameBuffers } from "./frame-buffers.ts";
import { GatedCrossAttention } from "./gated-cross-attention.ts";
import { type Steps, Transformer } from "./transformer.ts";
import type { WeightLoader } from "./weight-loader.ts";
import type { TemporalWeights } from "./weights.ts";

export interface TemporalSpec {
  config: MoshiConfig;
  options: LanguageModelOptions;
  weights: TemporalWeights;
  /** What weights that are needed no more are given back to. */
  loader: WeightLoader;
  sequences: number;
  /** Keys that a step sees, itself included. */
  window: number;
  /** What these and their values are held in. */
  cacheFormat: CacheFormat;
  frame: FrameBuffers;
  steps: Steps;
  cross: CrossCondition | null;
  /** Tokens of the largest image, for models that see. */
  maxImageTokens: number;
}

/** The temporal transformer: from a frame's tokens to the drawn text token. */
export class Temporal {
  /** (sequences, dim) f32 after the output norm. */
  readonly out: BufferView;
  /** (sequences, textCardOut) f32; the first row after guidance. */
  readonly textLogits: BufferView;
  /** (sequences, count classes) f32; null without extra heads. */
  readonly extraLogits: BufferView | null;
  /** What a model that sees attends to; null for one that is blind. */
  readonly sight: GatedCrossAttention | null;
  readonly buffers: readonly GPUBuffer[];
  readonly #dispatches: readonly Dispatch[];
  /** The same without what runs for an image alone. */
  readonly #blindDispatches: readonly Dispatch[];
  readonly #gpu: Gpu;
  readonly #slotPositions: BufferView;
  readonly #draw: SampleToken;
  readonly #textPadding: number;

  private constructor(
    gpu: Gpu,
    views: { out: BufferView; textLogits: BufferView; extraLogits: BufferView | null },
    slotPositions: BufferView,
    {
      dispatches,
      sight,
      draw,
      textPadding,
    }: {
      dispatches: readonly Dispatch[];
      sight: GatedCrossAttention | null;
      draw: SampleToken;
      textPadding: number;
    },
    buffers: readonly GPUBuffer[],
  ) {
    this.#gpu = gpu;
    this.#draw = draw;
    this.#textPadding = textPadding;
    this.out = views.out;
    this.textLogits = views.textLogits;
    this.extraLogits = views.extraLogits;
    this.#slotPositions = slotPositions;
    this.sight = sight;
    this.#dispatches = dispatches;
    const forImages = new Set(sight?.dispatches.flat());
    this.#blindDispatches = dispatches.filter((dispatch) => !forImages.has(dispatch));
    const own = [
      views.out,
      views.textLogits,
      slotPositions,
      ...(views.extraLogits ? [views.extraLogits] : []),
    ];
    this.buffers = [...buffers, ...own.map(({ buffer }) => buffer)];
  }

  static async create(gpu: Gpu, spec: TemporalSpec): Promise<Temporal> {
    const { config, weights, sequences, window, frame, steps } = spec;
    const { temporal: shape, normEps, textCardOut } = config;
    const rows = (label: string, cols: number) =>
      createBuffer(gpu, { label, sizeBytes: sequences * cols * 4 });
    const slotPositions = createSlotPositions(gpu, window);
    const transformer = new Transformer(gpu, {
      name: "temporal",
      shape,
      normEps,
      rotary: config.rotary,
      sequences,
      capacity: window,
      cacheFormat: spec.cacheFormat,
      slotPositions,
      steps,
    });
    const views = {
      out: rows("transformer out", shape.dim),
      textLogits: rows("text logits", textCardOut),
      extraLogits: weights.extraHeads ? rows("extra logits", weights.extraHeads.rows) : null,
    };
    const looked = rows("text lookup", shape.dim);
    const sight =
      weights.gatedCross && (await GatedCrossAttention.create(gpu, transformer, weights.gatedCross, spec));
    const cross = sight ?? (spec.cross && (await createCrossAttention(gpu, transformer, spec.cross, spec)));
    const dispatches: Dispatch[] = await embed(gpu, spec, transformer.x, looked);
    for (const [i, layer] of weights.layers.entries()) {
      dispatches.push(...(await transformer.layer(i, layer, layer.norms, frame.rows, cross?.dispatches[i])));
    }
    dispatches.push(...(await finish(gpu, spec, transformer.x, views)));
    const draw = await drawText(gpu, spec, views.textLogits);
    const made = { dispatches: [...dispatches, draw], sight, draw, textPadding: config.textPadding };
    const buffers = [...transformer.buffers, looked.buffer, ...(cross?.buffers ?? [])];
    return new Temporal(gpu, views, slotPositions, made, buffers);
  }

  /** Those of the next frame, in order. */
  get dispatches(): readonly Dispatch[] {
    return this.sight?.isSeeing ? this.#dispatches : this.#blindDispatches;
  }

  /** From the next frame on the text token is drawn so. */
  drawAs(draws: Draws): void {
    this.#draw.drawAs(textDraw(draws, this.#textPadding));
  }

  /** Forgets what was heard and seen: keys and values may stay, as nothing sees them. */
  reset(): void {
    emptySlots(this.#gpu, this.#slotPositions);
    this.sight?.see(null);
  }
}

/** x = condition + sum of the tokens' embeddings. */
async function embed(
  gpu: Gpu,
  { weights, frame, steps }: TemporalSpec,
  x: BufferView,
  looked: BufferView,
): Promise<Dispatch[]> {
  const step = steps.perSequence;
  const dispatches = await createTokenEmbedding(gpu, {
    label: "temporal embedding",
    table: weights.table,
    entries: weights.entries,
    tokens: frame.tokens,
    base: frame.base,
    out: x,
    step,
  });
  for (const { entry, project } of weights.texts) {
    const label = `temporal text ${entry.demux?.digit}`;
    const lookup = { label, table: weights.table, entries: [entry], tokens: frame.tokens, out: looked, step };
    dispatches.push(...(await createTokenEmbedding(gpu, lookup)));
    const add = { label, x: looked, matrix: project, out: x, accumulate: true, step };
    dispatches.push(...(await createMatmuls(gpu, add)));
  }
  return dispatches;
}

/** The output norm and the heads. */
async function finish(
  gpu: Gpu,
  spec: TemporalSpec,
  x: BufferView,
  views: { out: BufferView; textLogits: BufferView; extraLogits: BufferView | null },
): Promise<Dispatch[]> {
  const { config, weights, steps } = spec;
  const { out, textLogits, extraLogits } = views;
  const step = steps.perSequence;
  const head = (label: string, matrix: TemporalWeights["textHead"], logits: BufferView) =>
    createMatmuls(gpu, { label, x: out, matrix, out: logits, accumulate: false, step });
  const norm = await createRmsNorm(gpu, {
    label: "out_norm",
    cols: config.temporal.dim,
    eps: config.normEps,
    x,
    weight: weights.outNorm,
    out,
    step,
  });
  return [
    norm,
    ...(await head("text_linear", weights.textHead, textLogits)),
    ...(weights.extraHeads && extraLogits ? await head("extra_heads", weights.extraHeads, extraLogits) : []),
  ];
}

/** The draw of the text token. */
function drawText(
  gpu: Gpu,
  { config, options, frame, steps }: TemporalSpec,
  logits: BufferView,
): Promise<SampleToken> {
  return createSampleToken(gpu, {
    label: "text sample-token",
    cols: config.textCardOut,
    logits,
    ...(options.guidance ? { guidance: { coefficient: options.guidance.coefficient } } : {}),
    rows: frame.rows,
    slot: 0,
    slots: 1 + config.depQ,
    ...textDraw({ ...options, textSeed: options.seed }, config.textPadding),
    forced: frame.forced,
    sampled: frame.sampled,
    handed: frame.handed,
    step: steps.one,
  });
}

function textDraw(
  { text, textSeed, textPaddingBonus = 0 }: Pick<Draws, "text" | "textSeed" | "textPaddingBonus">,
  textPadding: number,
): TokenDraw {
  return { sampling: text, seed: textSeed, bonus: { token: textPadding, logit: textPaddingBonus } };
}
