import type { PlainCache } from "../qkv-rotary-cache/qkv-rotary-cache.reference.ts";
import type { Rotary } from "./rotary-cache.ts";

/** Sizes that the kernel and its reference share. */
export interface RotaryCacheShape {
  nHeads: number;
  nKvHeads: number;
  headDim: number;
  /** Cache slots. */
  capacity: number;
  /** Null: q and k stay as they are. */
  rotary: Rotary | null;
}

/**
 * Rotates q and k, returns q and writes k, v and the positions into `cache`.
 *
 * @param qkv   (rows, (nHeads + 2 nKvHeads) headDim): q, k, v.
 * @param rows  Position, cache slot and sequence of each row.
 * @param cache Keys and values (sequences nKvHeads, capacity, headDim).
 * @returns (rows, nHeads headDim) rotated q.
 */
export function rotaryCacheReference(
  shape: RotaryCacheShape,
  qkv: ArrayLike<number>,
  rows: readonly { position: number; cacheSlot: number; index: number }[],
  cache: PlainCache,
): Float64Array {
  const { nHeads, nKvHeads, headDim, capacity } = shape;
  const heads = nHeads + 2 * nKvHeads;
  const q = new Float64Array(rows.length * nHeads * headDim);
  for (const [r, { position, cacheSlot, index }] of rows.entries()) {
    cache.slotPositions[cacheSlot] = position;
    for (let head = 0; head < heads; head++) {
      const start = (r * heads + head) * headDim;
      const x = Float64Array.from({ length: headDim }, (_, d) => qkv[start + d]!);
      const place = (kvHead: number) => ((index * nKvHeads + kvHead) * capacity + cacheSlot) * headDim;
      if (head < nHeads) q.set(rotate(x, position, shape.rotary), (r * nHeads + head) * headDim);
      else if (head < nHeads + nKvHeads)
        cache.keys.set(rotate(x, position, shape.rotary), place(head - nHeads));
      else cache.values.set(x, place(head - nHeads - nKvHeads));
    }
  }
  return q;
}

function rotate(x: Float64Array, position: number, rotary: Rotary | null): Float64Array {
  if (!rotary) return x;
  const pairs = x.length / 2;
  const out = new Float64Array(x.length);
  for (let j = 0; j < pairs; j++) {
    const [first, second] = rotary.layout === "halves" ? [j, j + pairs] : [2 * j, 2 * j + 1];
    const angle = position * rotary.maxPeriod ** (-j / pairs);
    out[first] = x[first]! * Math.cos(angle) - x[second]! * Math.sin(angle);
    out[second] = x[first]! * Math.sin(angle) + x[second]! * Math.cos(angle);
  }
  return out;
}
