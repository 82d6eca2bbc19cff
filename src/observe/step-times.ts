/** How long the steps of a session took, ms. */
export interface StepTimes {
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/**
 * The value below or at which `share` of the values lie, by the nearest-rank rule: one of the values, never a mean.
 *
 * @param sorted ascending.
 * @param share  in (0, 1].
 * @returns 0 for no values.
 */
export function percentile(sorted: readonly number[] | Float64Array, share: number): number {
  if (sorted.length === 0) return 0;
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

const BUCKETS_PER_MS = 20;
const LIMIT_MS = 2000;

/**
 * Step times in buckets of 0.05 ms up to 2 s, so that a session of any length takes constant memory. A percentile is
 * the upper edge of its bucket; what took longer than the last bucket is reported as the longest step.
 */
export class StepHistogram {
  readonly #counts = new Uint32Array(LIMIT_MS * BUCKETS_PER_MS);
  #beyond = 0;
  #maxMs = 0;
  #total = 0;

  add(ms: number): void {
    const bucket = Math.floor(Math.max(0, ms) * BUCKETS_PER_MS);
    if (bucket < this.#counts.length) this.#counts[bucket]!++;
    else this.#beyond++;
    this.#maxMs = Math.max(this.#maxMs, ms);
    this.#total++;
  }

  get count(): number {
    return this.#total;
  }

  percentileMs(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#total));
    if (rank > this.#total - this.#beyond) return this.#maxMs;
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(this.#maxMs, (bucket + 1) / BUCKETS_PER_MS);
    }
    return this.#maxMs;
  }

  /** Rounded to a hundredth of a millisecond. */
  summary(): StepTimes {
    const round = (ms: number): number => Math.round(ms * 100) / 100;
    return {
      p50: round(this.percentileMs(0.5)),
      p99: round(this.percentileMs(0.99)),
      p999: round(this.percentileMs(0.999)),
      max: round(this.#maxMs),
    };
  }
}
