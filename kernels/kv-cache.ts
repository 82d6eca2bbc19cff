import { type BufferView, createBuffer, writeBuffer } from "../src/gpu/buffers.ts";
import type { Gpu } from "../src/gpu/device.ts";

/**
 * Sizes of the fixed-capacity cache. Its slots are one row of three regions: perception, told, said. Told and said are
 * rings that hold only what is still remembered; in the perception region a key also fades with age.
 */
export interface KvCacheShape {
  nKvHeads: number;
  /** A multiple of 4. */
  headDim: number;
  /** Slots in all. */
  capacity: number;
}

/** What keys and values are held in. What reads them computes in f32 either way. */
export type CacheFormat = "f32" | "f16";

/** Bytes of an element. */
export const CACHE_BYTES: Readonly<Record<CacheFormat, number>> = { f32: 4, f16: 2 };

/** A layer's keys and values. */
export interface LayerCache {
  /** Halves stand two in a word, the first in the lower bits, so that they need no feature of the device's. */
  format: CacheFormat;
  /** (nKvHeads, headDim / 4, capacity, 4): neighbouring slots lie side by side. */
  keys: BufferView;
  /** (nKvHeads, capacity, headDim). */
  values: BufferView;
}

/** Position of an empty slot: later than any token's, so that none sees it. */
export const EMPTY_POSITION = 0xffffffff;

/** Makes a layer's cache; nothing sees what is in it before its slots have positions. */
export function createLayerCache(
  gpu: Gpu,
  label: string,
  shape: KvCacheShape,
  format: CacheFormat = "f32",
): LayerCache {
  const sizeBytes = shape.nKvHeads * shape.capacity * shape.headDim * CACHE_BYTES[format];
  return {
    format,
    keys: createBuffer(gpu, { label: `${label} keys`, sizeBytes }),
    values: createBuffer(gpu, { label: `${label} values`, sizeBytes }),
  };
}

/** The positions of what the slots hold, (capacity) u32: one array for all layers. All slots are empty. */
export function createSlotPositions(gpu: Gpu, capacity: number): BufferView {
  const view = createBuffer(gpu, { label: "slot positions", sizeBytes: capacity * 4 });
  emptySlots(gpu, view);
  return view;
}

/** Forgets everything: keys and values may stay, as nothing sees them. */
export function emptySlots(gpu: Gpu, slotPositions: BufferView): void {
  writeBuffer(gpu, slotPositions, new Uint32Array(slotPositions.sizeBytes / 4).fill(EMPTY_POSITION));
}
