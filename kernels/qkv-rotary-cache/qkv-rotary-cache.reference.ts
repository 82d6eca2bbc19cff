/** Sizes that the kernel and its reference share. */
export interface QkvShape {
  nHeads: number;
  nKvHeads: number;
  headDim: number;
  /** Cache slots. */
  capacity: number;
  /** (headDim / 2): pair i turns once in 2^rotaryLog2[i] positions. */
  rotaryLog2: readonly number[];
}

/** A layer's cache as plain rows: keys and values (nKvHeads, capacity, headDim), slotPositions (capacity). */
export interface PlainCache {
  keys: Float64Array;
  values: Float64Array;
  slotPositions: Uint32Array;
}

/**
 * Rotates q and k, returns q and writes k, v and the positions into `cache`.
 *
 * @param qkv  (rows, (nHeads + 2 nKvHeads) headDim): q, k, v.
 * @param rows Position and cache slot of each row.
 * @returns (rows, nHeads headDim) rotated q.
 */
export function qkvRotaryCacheReference(
  shape: QkvShape,
  qkv: ArrayLike<number>,
  rows: readonly { position: number; cacheSlot: number }[],
  cache: PlainCache,
): Float64Array {
  const { nHeads, nKvHeads, headDim, capacity } = shape;
  const heads = nHeads + 2 * nKvHeads;
  const q = new Float64Array(rows.length * nHeads * headDim);
  for (const [r, { position, cacheSlot }] of rows.entries()) {
    cache.slotPositions[cacheSlot] = position;
    for (let head = 0; head < heads; head++) {
      const start = (r * heads + head) * headDim;
      const x = Float64Array.from({ length: headDim }, (_, d) => qkv[start + d]!);
      if (head < nHeads) {
        q.set(rotate(x, position, shape.rotaryLog2), (r * nHeads + head) * headDim);
      } else if (head < nHeads + nKvHeads) {
        const place = ((head - nHeads) * capacity + cacheSlot) * headDim;
        cache.keys.set(rotate(x, position, shape.rotaryLog2), place);
      } else {
        cache.values.set(x, ((head - nHeads - nKvHeads) * capacity + cacheSlot) * headDim);
      }
    }
  }
  return q;
}

function rotate(x: Float64Array, position: number, rotaryLog2: readonly number[]): Float64Array {
  const half = x.length / 2;
  const out = new Float64Array(x.length);
  for (let i = 0; i < half; i++) {
    const period = 2 ** rotaryLog2[i]!;
    const angle = (2 * Math.PI * (position % period)) / period;
    out[i] = x[i]! * Math.cos(angle) - x[i + half]! * Math.sin(angle);
    out[i + half] = x[i + half]! * Math.cos(angle) + x[i]! * Math.sin(angle);
  }
  return out;
}
