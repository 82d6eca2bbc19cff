/** Sizes that the kernel and its reference share. */
export interface AttentionShape {
  nHeads: number;
  nKvHeads: number;
  headDim: number;
  /** Cache slots; the first `perceptionSlots` of them forget after `perceptionTurns` micro-turns. */
  capacity: number;
  perceptionSlots: number;
  perceptionTurns: number;
}

const POSITIONS_PER_TURN = 64;

/** Whether a token at `position` sees what slot `slot` holds. */
export function seesSlot(
  shape: AttentionShape,
  position: number,
  slot: number,
  slotPosition: number,
): boolean {
  if (slotPosition > position) return false;
  if (slot >= shape.perceptionSlots) return true;
  const age = Math.floor(position / POSITIONS_PER_TURN) - Math.floor(slotPosition / POSITIONS_PER_TURN);
  return age < shape.perceptionTurns;
}

/**
 * Attention of the queries over the cache.
 *
 * @param q             (rows, nHeads, headDim).
 * @param keys          (nKvHeads, capacity, headDim); `values` likewise.
 * @param slotPositions (capacity), EMPTY_POSITION (kv-cache.ts) where empty.
 * @param positions     (rows).
 * @returns (rows, nHeads, headDim); zeros for a row that sees nothing.
 */
export function attentionReference(
  shape: AttentionShape,
  q: ArrayLike<number>,
  keys: ArrayLike<number>,
  values: ArrayLike<number>,
  slotPositions: ArrayLike<number>,
  positions: ArrayLike<number>,
): Float64Array {
  const { nHeads, nKvHeads, headDim, capacity } = shape;
  const out = new Float64Array(positions.length * nHeads * headDim);
  for (let row = 0; row < positions.length; row++) {
    for (let head = 0; head < nHeads; head++) {
      const kvHead = Math.floor(head / (nHeads / nKvHeads));
      const query = (row * nHeads + head) * headDim;
      const scores = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
      let peak = Number.NEGATIVE_INFINITY;
      for (let slot = 0; slot < capacity; slot++) {
        if (!seesSlot(shape, positions[row]!, slot, slotPositions[slot]!)) continue;
        let dot = 0;
        for (let d = 0; d < headDim; d++)
          dot += q[query + d]! * keys[(kvHead * capacity + slot) * headDim + d]!;
        scores[slot] = dot / Math.sqrt(headDim);
        peak = Math.max(peak, scores[slot]!);
      }
      if (peak === Number.NEGATIVE_INFINITY) continue;
      let mass = 0;
      for (let slot = 0; slot < capacity; slot++) mass += Math.exp(scores[slot]! - peak);
      for (let slot = 0; slot < capacity; slot++) {
        const weight = Math.exp(scores[slot]! - peak) / mass;
        if (weight === 0) continue;
        for (let d = 0; d < headDim; d++) {
          out[query + d]! += weight * values[(kvHead * capacity + slot) * headDim + d]!;
        }
      }
    }
  }
  return out;
}
