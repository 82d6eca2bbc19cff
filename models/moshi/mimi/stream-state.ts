import { createFrameRows, type FrameRows } from "../../../kernels/frame-rows.ts";
import {
  createLayerCache,
  createSlotPositions,
  emptySlots,
  type LayerCache,
} from "../../../kernels/kv-cache.ts";
import { ROW_BYTES, STEP_BYTES } from "../../../kernels/step.ts";
import { type BufferView, createBuffer, subview, writeBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";

/** Bindings begin on such boundaries. */
const ALIGNMENT = 256;

/** Where the parts of a frame's input begin, bytes. */
const OFFSETS = { step: 0, frame: ALIGNMENT, rows: 2 * ALIGNMENT } as const;

/**
 * What one direction of the codec keeps from frame to frame, and what the host tells it about each frame: the only buffer
 * that is written while a session runs.
 */
export class StreamState {
  /** See kernels/step.ts: a frame's positions. */
  readonly step: BufferView;
  /** See kernels/step.ts. */
  readonly rows: BufferView;
  /** Four words that `write` was given. */
  readonly frame: BufferView;
  /** What `write` was given besides. */
  readonly payload: BufferView;
  /** (context) u32. */
  readonly slotPositions: BufferView;
  readonly #gpu: Gpu;
  readonly #positions: number;
  readonly #context: number;
  readonly #input: BufferView;
  readonly #bytes: Uint8Array;
  readonly #kept: BufferView[] = [];
  #nFrames = 0;

  constructor(gpu: Gpu, label: string, shape: { positions: number; context: number; payloadBytes: number }) {
    this.#gpu = gpu;
    this.#positions = shape.positions;
    this.#context = shape.context;
    const rowsBytes = shape.positions * ROW_BYTES;
    const payloadAt = OFFSETS.rows + Math.ceil(rowsBytes / ALIGNMENT) * ALIGNMENT;
    this.#bytes = new Uint8Array(payloadAt + shape.payloadBytes);
    this.#input = createBuffer(gpu, {
      label: `${label} input`,
      sizeBytes: this.#bytes.byteLength,
      role: "step",
    });
    this.step = subview(this.#input, OFFSETS.step, STEP_BYTES);
    this.frame = subview(this.#input, OFFSETS.frame, 16);
    this.rows = subview(this.#input, OFFSETS.rows, rowsBytes);
    this.payload = subview(this.#input, payloadAt, shape.payloadBytes);
    this.slotPositions = createSlotPositions(gpu, shape.context);
  }

  /** Frames since the session's beginning. */
  get nFrames(): number {
    return this.#nFrames;
  }

  /** Makes rows that `reset` empties. */
  frameRows(label: string, shape: { channels: number; context: number; rows: number }): FrameRows {
    const rows = createFrameRows(this.#gpu, label, shape);
    if (shape.context > 0) this.#kept.push(rows.view);
    return rows;
  }

  /** Makes a layer's keys and values, which `reset` empties. */
  layerCache(label: string, shape: { nHeads: number; headDim: number }): LayerCache {
    const { nHeads, headDim } = shape;
    const cache = createLayerCache(this.#gpu, label, { nKvHeads: nHeads, headDim, capacity: this.#context });
    this.#kept.push(cache.keys, cache.values);
    return cache;
  }

  /** Tells the device about the next frame, and counts it. @param frame At most four words. */
  write(frame: readonly number[], payload: Uint8Array | Float32Array | Int32Array | null): void {
    const words = new Uint32Array(this.#bytes.buffer, 0, this.payload.offset / 4);
    words.set([this.#positions, 0, 0, 0], OFFSETS.step / 4);
    words.set(frame, OFFSETS.frame / 4);
    for (let i = 0; i < this.#positions; i++) {
      const position = this.#nFrames * this.#positions + i;
      words.set([position, position % this.#context, 0, 0], OFFSETS.rows / 4 + 4 * i);
    }
    let end = this.payload.offset;
    if (payload) {
      const bytes = new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
      this.#bytes.set(bytes, end);
      end += bytes.byteLength;
    }
    writeBuffer(this.#gpu, this.#input, this.#bytes.subarray(0, end));
    this.#nFrames++;
  }

  /** The next frame is a first frame. What was submitted before is not touched by it. */
  reset(): void {
    this.#nFrames = 0;
    const encoder = this.#gpu.device.createCommandEncoder({ label: "mimi reset" });
    // Keys and values too: a NaN among them would outlive its weight of zero.
    for (const { buffer, offset, sizeBytes } of this.#kept) encoder.clearBuffer(buffer, offset, sizeBytes);
    this.#gpu.device.queue.submit([encoder.finish()]);
    emptySlots(this.#gpu, this.slotPositions);
  }
}
