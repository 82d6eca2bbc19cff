/**
 * The value below or at which `share` of the values lie, by the nearest-rank rule: one of the values, never a mean.
 *
 * @param sorted ascending.
 * @param share  in (0, 1].
 * @returns 0 for no values.
 */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}
