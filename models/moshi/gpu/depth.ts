import { createLayerNorm } from "../../../kernels/layer-norm/layer-norm.ts";
import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import { createSampleToken, type SampleToken } from "../../../kernels/sample-token/sample-token.ts";
import { packRows } from "../../../kernels/step.ts";
import { createTokenEmbedding } from "../../../kernels/token-embedding/token-embedding.ts";
import { type BufferView, createBuffer, subview, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import type { DepthConfig, MoshiConfig } from "../config.ts";
import type { Draws, LanguageModelOptions } from "../language-model.ts";
import { LAYER_NORM_EPS } from "./cross-attention.ts";
import type { FrameBuffers } from "./frame-buffers.ts";
import { type Steps, Transformer } from "./transformer.ts";
import type { DepthWeights } from "./weights.ts";

/** Bindings begin on such boundaries. */
const ALIGNMENT = 256;

export interface DepthSpec {
  config: MoshiConfig;
  depth: DepthConfig;
  /** Depth steps that are ever run, 1 to depQ. */
  nSteps: number;
  options: LanguageModelOptions;
  weights: DepthWeights;
  sequences: number;
  frame: FrameBuffers;
  steps: Steps;
  /** (sequences, temporal dim) f32: what every step is given. */
  temporalOut: BufferView;
}

/**
 * The depth transformer: within a frame, from the text token to one audio token after the other. Step k writes its keys
 * and values to slot k, at position k; those of an earlier frame in later slots are in its future, so that nothing has to
 * be cleared between frames.
 */
export class Depth {
  /** By step. */
  readonly steps: readonly (readonly Dispatch[])[];
  /** (steps, sequences, card) f32, each step on a boundary of 256 bytes; the first row after guidance. */
  readonly logits: BufferView;
  readonly buffers: readonly GPUBuffer[];
  readonly #draws: readonly SampleToken[];

  private constructor(
    steps: readonly (readonly Dispatch[])[],
    draws: readonly SampleToken[],
    logits: BufferView,
    buffers: readonly GPUBuffer[],
  ) {
    this.steps = steps;
    this.#draws = draws;
    this.logits = logits;
    this.buffers = buffers;
  }

  static async create(gpu: Gpu, spec: DepthSpec): Promise<Depth> {
    const { config, depth, nSteps, sequences, steps: counts, weights } = spec;
    const { card } = config;
    const positions = Uint32Array.from({ length: nSteps }, (_, k) => k);
    const slotPositions = uploadBuffer(gpu, { label: "depth slot positions" }, positions);
    const transformer = new Transformer(gpu, {
      name: "depth",
      shape: depth,
      normEps: config.normEps,
      rotary: null,
      sequences,
      capacity: nSteps,
      // A few slots of a narrow transformer: halves would save nothing.
      cacheFormat: "f32",
      slotPositions,
      steps: counts,
    });
    const rows = (label: string, cols: number) =>
      createBuffer(gpu, { label, sizeBytes: sequences * cols * 4 });
    const looked = rows("depth lookup", depth.lowRank ?? depth.dim);
    const normed = rows("depth normed", depth.dim);
    const stride = Math.ceil((sequences * card * 4) / ALIGNMENT) * ALIGNMENT;
    const logits = createBuffer(gpu, { label: "depth logits", sizeBytes: nSteps * stride });
    const shared = await sharedLayers(transformer, weights);
    const steps: Dispatch[][] = [];
    const draws: SampleToken[] = [];
    for (let k = 0; k < nSteps; k++) {
      const at = Array.from({ length: sequences }, (_, index) => ({
        position: k,
        cacheSlot: k,
        kind: 0,
        index,
      }));
      const stepRows = uploadBuffer(gpu, { label: `depth rows ${k}` }, packRows(at));
      const dispatches = await embed(gpu, spec, k, transformer.x, looked);
      for (const [j, layer] of shared[depth.schedule[k]!]!.entries()) {
        const attend = await transformer.attend(j, stepRows);
        dispatches.push(...layer.before, ...attend, ...layer.after);
      }
      const own = subview(logits, k * stride, sequences * card * 4);
      dispatches.push(...(await finish(gpu, spec, k, transformer.x, normed, own)));
      const draw = await drawAudio(gpu, spec, k, own);
      draws.push(draw);
      steps.push([...dispatches, draw]);
    }
    const own = [slotPositions, looked, normed, logits].map(({ buffer }) => buffer);
    return new Depth(steps, draws, logits, [...transformer.buffers, ...own]);
  }

  /** From the next frame on the audio tokens are drawn so. */
  drawAs({ audio, audioSeed }: Draws): void {
    for (const draw of this.#draws) draw.drawAs({ sampling: audio, seed: audioSeed });
  }
}

/** What steps of the same weight set have in common: each layer's dispatches before and after its attention. */
async function sharedLayers(transformer: Transformer, { layers, norms }: DepthWeights) {
  const sets: { before: Dispatch[]; after: Dispatch[] }[][] = [];
  for (const [set, matrices] of layers.entries()) {
    const built: { before: Dispatch[]; after: Dispatch[] }[] = [];
    for (const [j, layer] of matrices.entries()) {
      const label = `set ${set} layers.${j}`;
      built.push({
        before: await transformer.project(label, layer.qkv, norms[j]!.attention),
        after: [
          ...(await transformer.join(label, layer.attentionOut)),
          ...(await transformer.feedForward(label, layer, norms[j]!.mlp)),
        ],
      });
    }
    sets.push(built);
  }
  return sets;
}

/** x = embedding of the token before + depformer_in · temporalOut. */
async function embed(
  gpu: Gpu,
  { weights, depth, frame, steps, temporalOut }: DepthSpec,
  k: number,
  x: BufferView,
  looked: BufferView,
): Promise<Dispatch[]> {
  const step = steps.perSequence;
  const { table, lookups } = weights.embeddings[k]!;
  const dispatches: Dispatch[] = [];
  for (const [i, { entry, project }] of lookups.entries()) {
    const label = `depth ${k} embedding`;
    const lookup = { label, table, entries: [entry], tokens: frame.handed, out: project ? looked : x, step };
    dispatches.push(...(await createTokenEmbedding(gpu, lookup)));
    if (!project) continue;
    const bring = { label, x: looked, matrix: project, out: x, accumulate: i > 0, step };
    dispatches.push(...(await createMatmuls(gpu, bring)));
  }
  const matrix = weights.inputs[depth.schedule[k]!]!;
  const take = { label: `depth ${k} depformer_in`, x: temporalOut, matrix, out: x, accumulate: true, step };
  dispatches.push(...(await createMatmuls(gpu, take)));
  return dispatches;
}

/** The codebook's norm and head. */
async function finish(
  gpu: Gpu,
  { depth, weights, steps }: DepthSpec,
  k: number,
  x: BufferView,
  normed: BufferView,
  logits: BufferView,
): Promise<Dispatch[]> {
  const step = steps.perSequence;
  const norm = weights.outNorms[k];
  const dispatches: Dispatch[] = [];
  if (norm) {
    dispatches.push(
      await createLayerNorm(gpu, {
        label: `depformer_norms.${k}`,
        cols: depth.dim,
        eps: LAYER_NORM_EPS,
        x,
        ...norm,
        out: normed,
        step,
      }),
    );
  }
  const head = {
    label: `linears.${k}`,
    x: norm ? normed : x,
    matrix: weights.heads[k]!,
    out: logits,
    accumulate: false,
    step,
  };
  dispatches.push(...(await createMatmuls(gpu, head)));
  return dispatches;
}

/** The draw of the codebook's token. */
function drawAudio(
  gpu: Gpu,
  { config, options, frame, steps }: DepthSpec,
  k: number,
  logits: BufferView,
): Promise<SampleToken> {
  return createSampleToken(gpu, {
    label: `depth ${k} sample-token`,
    cols: config.card,
    logits,
    ...(options.guidance ? { guidance: { coefficient: options.guidance.coefficient } } : {}),
    rows: frame.rows,
    slot: 1 + k,
    slots: 1 + config.depQ,
    sampling: options.audio,
    seed: options.seed,
    forced: frame.forced,
    sampled: frame.sampled,
    handed: frame.handed,
    step: steps.one,
  });
}
