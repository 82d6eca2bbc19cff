import { createAttention } from "../../../kernels/attention/attention.ts";
import { createGatedMlps } from "../../../kernels/gated-mlp/gated-mlp.ts";
import { type CacheFormat, createLayerCache, type LayerCache } from "../../../kernels/kv-cache.ts";
import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import type { Matrix } from "../../../kernels/matrix.ts";
import { createRotaryCache, type Rotary } from "../../../kernels/rotary-cache/rotary-cache.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { Dispatch } from "../../../src/gpu/plan.ts";
import type { TransformerConfig } from "../config.ts";
import type { LayerMatrices, LayerNorms } from "./weights.ts";

/** Of how many rows a step consists, told to kernels: one row per sequence, or one in all. */
export interface Steps {
  perSequence: BufferView;
  one: BufferView;
}

export interface TransformerSpec {
  /** Names its parts in messages. */
  name: string;
  shape: TransformerConfig;
  normEps: number;
  rotary: Rotary | null;
  /** Sequences that step together and share the weights: two with guidance. */
  sequences: number;
  /** Slots of the ring of keys and values, and what these are held in. */
  capacity: number;
  cacheFormat: CacheFormat;
  /** (capacity) u32, see kernels/kv-cache.ts. */
  slotPositions: BufferView;
  steps: Steps;
}

/**
 * One of the two transformers: its activations, its caches, and the dispatches of its layers. Rows are sequences. Where a
 * matrix is applied they are rows of activations; where attention runs, the sequences' heads lie side by side as those of
 * one row, each with keys and values of its own, so that both cost one dispatch.
 */
export class Transformer {
  /** (sequences, dim) f32: the residual stream. */
  readonly x: BufferView;
  /** All buffers, to be destroyed with the network. */
  readonly buffers: readonly GPUBuffer[];
  /** (sequences, nHeads headDim) f32. */
  readonly #q: BufferView;
  readonly #qkv: BufferView;
  readonly #attended: BufferView;
  readonly #gated: BufferView;
  readonly #caches: readonly LayerCache[];
  readonly #gpu: Gpu;
  readonly #spec: TransformerSpec;

  constructor(gpu: Gpu, spec: TransformerSpec) {
    this.#gpu = gpu;
    this.#spec = spec;
    const { name, sequences, capacity, cacheFormat } = spec;
    const { dim, nLayers, nHeads, nKvHeads, headDim, ffDim } = spec.shape;
    const rows = (label: string, cols: number) =>
      createBuffer(gpu, { label: `${name} ${label}`, sizeBytes: sequences * cols * 4 });
    this.x = rows("x", dim);
    this.#qkv = rows("qkv", (nHeads + 2 * nKvHeads) * headDim);
    this.#q = rows("q", nHeads * headDim);
    this.#attended = rows("attended", nHeads * headDim);
    // The loader fills the inner width up to a multiple of 4.
    this.#gated = rows("gated", Math.ceil(ffDim / 4) * 4);
    const cacheShape = { nKvHeads: sequences * nKvHeads, headDim, capacity };
    this.#caches = Array.from({ length: nLayers }, (_, i) =>
      createLayerCache(gpu, `${name} layers.${i}`, cacheShape, cacheFormat),
    );
    const views = [this.x, this.#qkv, this.#q, this.#attended, this.#gated];
    const caches = this.#caches.flatMap(({ keys, values }) => [keys, values]);
    this.buffers = [...views, ...caches].map(({ buffer }) => buffer);
  }

  /** qkv · RMSNorm(x). */
  project(label: string, qkv: Matrix, norm: BufferView): Promise<Dispatch[]> {
    const { normEps, steps } = this.#spec;
    return createMatmuls(this.#gpu, {
      label: this.#label(`${label} qkv`),
      x: this.x,
      matrix: qkv,
      norm: { weight: norm, eps: normEps },
      out: this.#qkv,
      accumulate: false,
      step: steps.perSequence,
    });
  }

  /** Puts keys and values away and attends to what is there. `rows`: position and slot of each sequence's row. */
  async attend(layer: number, rows: BufferView): Promise<Dispatch[]> {
    const { shape, rotary, capacity, slotPositions, steps } = this.#spec;
    const { nHeads, nKvHeads, headDim } = shape;
    const cache = this.#caches[layer]!;
    const append = await createRotaryCache(this.#gpu, {
      label: this.#label(`layers.${layer} rotary-cache`),
      nHeads,
      nKvHeads,
      headDim,
      capacity,
      rotary,
      qkv: this.#qkv,
      rows,
      q: this.#q,
      cache,
      slotPositions,
      step: steps.perSequence,
    });
    const label = `layers.${layer} attention`;
    return [append, ...(await this.attendTo(label, cache, { nKvHeads, capacity, slotPositions, rows }))];
  }

  /** Attention of `q` over a cache of its own: see `attend`. The result is what `join` takes. */
  async attendTo(
    label: string,
    cache: LayerCache,
    at: {
      nKvHeads: number;
      capacity: number;
      slotPositions: BufferView;
      rows: BufferView;
    },
  ): Promise<Dispatch[]> {
    const { shape, sequences, steps } = this.#spec;
    const dispatches = await createAttention(this.#gpu, {
      label: this.#label(label),
      nHeads: sequences * shape.nHeads,
      nKvHeads: sequences * at.nKvHeads,
      headDim: shape.headDim,
      capacity: at.capacity,
      // Nothing fades with age here: what has left the ring is gone.
      perceptionSlots: 0,
      perceptionTurns: 1,
      maxRows: 1,
      q: this.#q,
      cache,
      slotPositions: at.slotPositions,
      rows: at.rows,
      out: this.#attended,
      step: steps.one,
    });
    return dispatches.map((dispatch) => ({ ...dispatch, launch: () => dispatch.launch(1) }));
  }

  /** q = matrix · y, for an attention that is not to itself; y = x or RMSNorm(x). */
  query(
    label: string,
    matrix: Matrix,
    { x, norm }: { x: BufferView; norm?: BufferView },
  ): Promise<Dispatch[]> {
    const { normEps, steps } = this.#spec;
    return createMatmuls(this.#gpu, {
      label: this.#label(label),
      x,
      matrix,
      ...(norm ? { norm: { weight: norm, eps: normEps } } : {}),
      out: this.#q,
      accumulate: false,
      step: steps.perSequence,
    });
  }

  /** out = matrix · attended. */
  finish(label: string, matrix: Matrix, out: BufferView): Promise<Dispatch[]> {
    const step = this.#spec.steps.perSequence;
    const spec = { label: this.#label(label), x: this.#attended, matrix, out, accumulate: false, step };
    return createMatmuls(this.#gpu, spec);
  }

  /** x += matrix · attended. */
  join(label: string, matrix: Matrix): Promise<Dispatch[]> {
    return this.#add(`${label} attention_out`, this.#attended, matrix);
  }

  /** x += down · (silu(gate) up), [gate; up] = gateUp · RMSNorm(x). */
  async feedForward(label: string, { gateUp, down }: LayerMatrices, norm: BufferView): Promise<Dispatch[]> {
    const { normEps, steps } = this.#spec;
    const gated = await createGatedMlps(this.#gpu, {
      label: this.#label(`${label} gated-mlp`),
      x: this.x,
      norm: { weight: norm, eps: normEps },
      gateUp,
      out: this.#gated,
      step: steps.perSequence,
    });
    return [...gated, ...(await this.#add(`${label} down`, this.#gated, down))];
  }

  /** A layer from its input to its output, without cross-attention. */
  async layer(
    i: number,
    weights: LayerMatrices,
    norms: LayerNorms,
    rows: BufferView,
    between: readonly Dispatch[] = [],
  ): Promise<Dispatch[]> {
    const label = `layers.${i}`;
    return [
      ...(await this.project(label, weights.qkv, norms.attention)),
      ...(await this.attend(i, rows)),
      ...(await this.join(label, weights.attentionOut)),
      ...between,
      ...(await this.feedForward(label, weights, norms.mlp)),
    ];
  }

  #add(label: string, y: BufferView, matrix: Matrix): Promise<Dispatch[]> {
    const step = this.#spec.steps.perSequence;
    const spec = { label: this.#label(label), x: y, matrix, out: this.x, accumulate: true, step };
    return createMatmuls(this.#gpu, spec);
  }

  #label(op: string): string {
    return `${this.#spec.name} ${op}`;
  }
}
