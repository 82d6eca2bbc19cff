import type { EmbeddedToken } from "./token-embedding.ts";

/**
 * Sum of the embeddings of several tokens, in double precision.
 *
 * @param table  (rows, cols): the tables that the entries point into, one below the other.
 * @param tokens What the entries' slots index.
 * @param base   (sequences, cols) what the sum is added to.
 * @returns (sequences, cols)
 */
export function tokenEmbeddingReference(
  table: ArrayLike<number>,
  cols: number,
  entries: readonly EmbeddedToken[],
  tokens: ArrayLike<number>,
  base: ArrayLike<number>,
): Float64Array {
  const out = Float64Array.from(base);
  for (const { slot, firstRow, demux } of entries) {
    const token = tokens[slot]!;
    if (token < 0) continue;
    let row = token;
    if (demux) row = demux.digit === 0 ? token % demux.radix : Math.floor(token / demux.radix) - 1;
    if (row < 0) continue;
    for (let i = 0; i < out.length; i++) out[i]! += table[(firstRow + row) * cols + (i % cols)]!;
  }
  return out;
}
