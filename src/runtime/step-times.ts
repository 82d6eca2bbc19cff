import type { StepMs } from "./events.ts";

/** Width of a bin, ms. */
const BIN_MS = 0.05;
/** Steps longer than this are told apart by the maximum alone, ms. */
const RANGE_MS = 1000;

/** How long steps took: a histogram of fixed size, so that a session of any length costs the same memory. */
export class StepTimes {
  readonly #bins = new Uint32Array(RANGE_MS / BIN_MS + 1);
  #count = 0;
  #maxMs = 0;

  add(stepMs: number): void {
    this.#bins[Math.min(Math.floor(stepMs / BIN_MS), this.#bins.length - 1)]!++;
    this.#count++;
    this.#maxMs = Math.max(this.#maxMs, stepMs);
  }

  /** Quantiles to 0.05 ms, rounded up; all 0 before the first step. */
  summary(): StepMs {
    return {
      p50: this.#quantile(0.5),
      p99: this.#quantile(0.99),
      p999: this.#quantile(0.999),
      max: this.#maxMs,
    };
  }

  /** The least bin edge that at least `share` of the steps do not exceed. */
  #quantile(share: number): number {
    const rank = Math.ceil(share * this.#count);
    let seen = 0;
    for (let bin = 0; bin < this.#bins.length; bin++) {
      seen += this.#bins[bin]!;
      if (seen < rank || seen === 0) continue;
      const last = bin === this.#bins.length - 1;
      return last ? this.#maxMs : Math.min((bin + 1) * BIN_MS, this.#maxMs);
    }
    return 0;
  }
}
