/** The centroids of a split quantiser on the host: codebook 0 semantic, those from 1 on the acoustic levels. */
export interface ReferenceCodebooks {
  bins: number;
  dim: number;
  /** (bins, dim) each. */
  centroids: readonly ArrayLike<number>[];
}

/** Index of the centroid with the least Euclidean distance, the lowest of several. */
export function nearestReference(r: ArrayLike<number>, centroids: ArrayLike<number>): number {
  const dim = r.length;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i * dim < centroids.length; i++) {
    let distance = 0;
    for (let d = 0; d < dim; d++) distance += (r[d]! - centroids[i * dim + d]!) ** 2;
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  return best;
}

/**
 * Codes of one frame in double precision: the semantic codebook's of `semantic`, and level by level on what is left of
 * `acoustic`, which begins whole: the semantic centroid is not taken from it.
 *
 * @param semantic (dim)
 * @param acoustic (dim)
 */
export function rvqEncodeReference(
  { dim, centroids }: ReferenceCodebooks,
  semantic: ArrayLike<number>,
  acoustic: ArrayLike<number>,
): number[] {
  const codes = [nearestReference(semantic, centroids[0]!)];
  const left = Float64Array.from(acoustic);
  for (const level of centroids.slice(1)) {
    const code = nearestReference(left, level);
    codes.push(code);
    for (let d = 0; d < dim; d++) left[d]! -= level[code * dim + d]!;
  }
  return codes;
}

/** (2, dim): the semantic centroid, then the sum of the acoustic ones, in double precision. */
export function rvqSumReference(
  { dim, centroids }: ReferenceCodebooks,
  codes: ArrayLike<number>,
): Float64Array {
  const sums = new Float64Array(2 * dim);
  for (let l = 0; l < codes.length; l++)
    for (let d = 0; d < dim; d++) sums[(l === 0 ? 0 : dim) + d]! += centroids[l]![codes[l]! * dim + d]!;
  return sums;
}
