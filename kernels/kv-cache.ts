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

/** A layer's keys and values. */
export interface LayerCache {
  /** (nKvHeads, headDim / 4, capacity, 4) f32: neighbouring slots lie side by side. */
  keys: BufferView;
  /** (nKvHeads, capacity, headDim) f32. */
  values: BufferView;
}

/** Position of an empty slot: later than any token's, so that none sees it. */
export const EMPTY_POSITION = 0xffffffff;

export function createLayerCache(gpu: Gpu, label: string, shape: KvCacheShape): LayerCache {
  const sizeBytes = shape.nKvHeads * shape.capacity * shape.headDim * 4;
  return {
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
