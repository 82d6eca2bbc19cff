/** Wait before the first attempt to get a lost device back, ms. */
const FIRST_MS = 250;
/** Longest wait: one who plugs a device in again should not have to wait longer. */
const LONGEST_MS = 4000;
/** A device that worked for so long is tried again as one that was never lost, ms. */
const HEALTHY_MS = 10_000;

/** How long to wait between attempts at a device: doubling, bounded, spread at random between half and whole. */
export class BackOff {
  readonly #random: () => number;
  #nextMs = FIRST_MS;

  /** @param random uniform in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** @param workedMs how long the last attempt worked. */
  afterMs(workedMs: number): number {
    if (workedMs >= HEALTHY_MS) this.#nextMs = FIRST_MS;
    const waitMs = this.#nextMs * (0.5 + 0.5 * this.#random());
    this.#nextMs = Math.min(2 * this.#nextMs, LONGEST_MS);
    return waitMs;
  }
}
