import {
  type CacheFormat,
  createLayerCache,
  emptySlots,
  type LayerCache,
} from "../../../kernels/kv-cache.ts";
import { createMatmuls } from "../../../kernels/matmul/matmul.ts";
import type { Matrix } from "../../../kernels/matrix.ts";
import { createRotaryCache } from "../../../kernels/rotary-cache/rotary-cache.ts";
import { packRows } from "../../../kernels/step.ts";
import { type BufferView, createBuffer, uploadBuffer, writeBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, record } from "../../../src/gpu/plan.ts";
import type { TransformerConfig } from "../config.ts";

/** Invocations of the kernel that puts keys and values away: an adapter launches 65,535 workgroups at most. */
const WORKGROUP_SIZE = 256;

export interface CrossSourceShape {
  temporal: TransformerConfig;
  sequences: number;
  /** Vectors of each sequence, at most. */
  capacity: number;
  /** What their keys and values are held in. */
  cacheFormat: CacheFormat;
}

/**
 * What layers attend to beside their own past: some vectors, of which each cache that is made here holds the keys and values.
 * Every frame sees all of them, so they stand at position 0; slots beyond them are empty.
 */
export class CrossSource {
  readonly capacity: number;
  /** (capacity) u32, see kernels/kv-cache.ts. */
  readonly slotPositions: BufferView;
  readonly #gpu: Gpu;
  readonly #shape: CrossSourceShape;
  readonly #source: BufferView;
  readonly #keyValue: BufferView;
  readonly #rows: BufferView;
  readonly #step: BufferView;
  #nRows = 0;

  constructor(gpu: Gpu, shape: CrossSourceShape) {
    const { sequences, capacity, temporal } = shape;
    const nRows = sequences * capacity;
    this.#gpu = gpu;
    this.#shape = shape;
    this.capacity = capacity;
    const create = (label: string, sizeBytes: number) => createBuffer(gpu, { label, sizeBytes });
    this.slotPositions = create("cross slot positions", capacity * 4);
    this.#source = create("cross source", nRows * temporal.dim * 4);
    this.#keyValue = create("cross key value", nRows * 2 * temporal.dim * 4);
    const rows = Array.from({ length: nRows }, (_, r) => ({
      position: 0,
      cacheSlot: r % capacity,
      kind: 0,
      index: Math.floor(r / capacity),
    }));
    this.#rows = uploadBuffer(gpu, { label: "cross rows" }, packRows(rows));
    this.#step = createBuffer(gpu, { label: "cross step", role: "step", sizeBytes: 16 });
    emptySlots(gpu, this.slotPositions);
  }

  /** What `fill` needs and attention does not. */
  get scratch(): readonly GPUBuffer[] {
    return [this.#source, this.#keyValue, this.#rows, this.#step].map(({ buffer }) => buffer);
  }

  /** @param vectors (sequences, length, dim), length as the capacity; less with one sequence only. Empties the caches. */
  write(vectors: Float32Array): void {
    this.#nRows = vectors.length / this.#shape.temporal.dim;
    emptySlots(this.#gpu, this.slotPositions);
    writeBuffer(this.#gpu, this.#source, vectors);
    writeBuffer(this.#gpu, this.#step, Uint32Array.of(this.#nRows, 0, 0, 0));
  }

  /** A cache, and what fills it with keys and values of what was written. @param matrix (2 dim, dim): keys, then values. */
  async cache(label: string, matrix: Matrix): Promise<{ cache: LayerCache; fill: readonly Dispatch[] }> {
    const { sequences, capacity, cacheFormat, temporal } = this.#shape;
    const { nHeads, headDim } = temporal;
    const cacheShape = { nKvHeads: sequences * nHeads, headDim, capacity };
    const cache = createLayerCache(this.#gpu, label, cacheShape, cacheFormat);
    const step = this.#step;
    const project = { label, x: this.#source, matrix, out: this.#keyValue, accumulate: false, step };
    const append = await createRotaryCache(this.#gpu, {
      label,
      nHeads: 0,
      nKvHeads: nHeads,
      headDim,
      capacity,
      rotary: null,
      qkv: this.#keyValue,
      rows: this.#rows,
      cache,
      slotPositions: this.slotPositions,
      step,
      workgroupSize: WORKGROUP_SIZE,
    });
    return { cache, fill: [...(await createMatmuls(this.#gpu, project)), append] };
  }

  /** Submits what fills a cache. Frames that are submitted later see it. */
  submit(fill: readonly Dispatch[]): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: "cross-attention keys and values" });
    const pass = encoder.beginComputePass();
    record(pass, fill, this.#nRows);
    pass.end();
    this.#gpu.device.queue.submit([encoder.finish()]);
  }
}
