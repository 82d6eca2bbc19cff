/**
 * What every kernel of a decoder is told about the rows it runs over.
 *
 * **Step** is a 16-byte uniform, the last binding of each kernel:
 *
 * ```wgsl
 * struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 } // rows 0: the output block is closed, nothing runs
 * @group(0) @binding(N) var<uniform> step: Step;
 * ...
 * if (step.rows == 0u) { return; } // first: a decode step after <next> costs no more than its launch
 * ```
 *
 * The host writes the prefill's step (rows = tokens of the input block) every micro-turn. The decode steps share a
 * second one that the sampler writes, 1 while the block goes on and 0 once it is closed: it is a uniform so that an early
 * return on it is uniform control flow and subgroup operations may follow. Dispatch sizes already follow the number
 * of rows, rounded up to a kernel's tile; `rows` is exact.
 *
 * **Rows** is an array of `Row` (`var<storage, read> rows: array<vec4u>`), one per token of the step: position, cache
 * slot, kind, index. The host writes the prefill's; the sampler writes the decode step's only row.
 */

/** Bytes of a Step. */
export const STEP_BYTES = 16;

/** Bytes of a Row. */
export const ROW_BYTES = 16;

/** What a row's embedding is made of, and what `index` means. */
export const ROW_KIND = {
  /** Typed text; index is the token. */
  told: 0,
  /** The model's own output; index is the token. */
  said: 1,
  /** Elapsed time; index is the tick (200 ms) at the end of the interval. */
  clock: 2,
  /** One dMel frame; index is its place, 0-3. */
  audio: 3,
  /** One tile; index is its place, row by row. */
  video: 4,
} as const;

/** One token of a step. In WGSL a vec4u in this order. */
export interface Row {
  /** 64 * micro-turn + slot. */
  position: number;
  /** Where its key and value go: perception slots first, then the told ring, then the said ring. */
  cacheSlot: number;
  kind: number;
  index: number;
}

/** Packs rows as the kernels read them. */
export function packRows(rows: readonly Row[]): Uint32Array {
  return Uint32Array.from(rows.flatMap((row) => [row.position, row.cacheSlot, row.kind, row.index]));
}
