import { type Clock, unlessAborted } from "../core/clock.ts";
import type { Captured, Source } from "../core/device.ts";

/** Where a feed puts what its source gives; returns the session time up to which the source is now known, ms. */
export type Accept = (item: Captured, feed: Feed) => number;

interface Waiter {
  timeMs: number;
  resolve: () => void;
  reject: (fault: unknown) => void;
}

/**
 * Draws a source into its track in the background. A recording is read ahead to a horizon that the timeline moves, and
 * no further; a live source is taken as it comes.
 */
export class Feed {
  readonly source: Source;
  /** Session time up to which everything captured is known, ms; -1 before the first item. */
  reachedMs = -1;
  ended = false;
  /** True while a live device says that it is away: it may come back. */
  lost = false;
  failure: unknown = null;

  readonly #accept: Accept;
  #horizonMs = 0;
  #waiters: Waiter[] = [];
  #wakePump: () => void = () => {};
  #pump: Promise<void> = Promise.resolve();

  constructor(source: Source, accept: Accept) {
    this.source = source;
    this.#accept = accept;
  }

  /** @param onEnd is told once, before anyone who waits for the feed, that the source has ended or failed. */
  start(clock: Clock, signal: AbortSignal, onEnd: (feed: Feed) => void): void {
    this.#pump = this.#draw(clock, signal)
      .catch((fault: unknown) => {
        if (!signal.aborted) this.failure = fault;
      })
      .finally(() => {
        this.ended = true;
        onEnd(this);
        this.#settleWaiters();
      });
  }

  /** Lets a recording be read up to `timeMs` and the one item that passes it. */
  readTo(timeMs: number): void {
    this.#horizonMs = Math.max(this.#horizonMs, timeMs);
    this.#wakePump();
  }

  /**
   * Resolves when everything before `timeMs` is known or the source has ended; rejects with its failure, or with the
   * signal's reason.
   */
  async reaches(timeMs: number, signal: AbortSignal): Promise<void> {
    let waiter: Waiter;
    const reached = new Promise<void>((resolve, reject) => {
      waiter = { timeMs, resolve, reject };
      this.#waiters.push(waiter);
      this.#settleWaiters();
    });
    await unlessAborted(reached, signal).finally(() => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
    });
  }

  /** Resolves when the source has let go of what it held. Abort the signal given to `start` first. */
  stopped(): Promise<void> {
    return this.#pump;
  }

  async #draw(clock: Clock, signal: AbortSignal): Promise<void> {
    for await (const item of this.source.open(clock, signal)) {
      this.reachedMs = Math.max(this.reachedMs, this.#accept(item, this));
      this.#settleWaiters();
      while (this.source.recorded && this.reachedMs >= this.#horizonMs) {
        const moved = new Promise<void>((resolve) => {
          this.#wakePump = resolve;
        });
        await unlessAborted(moved, signal);
      }
      if (signal.aborted) return;
    }
  }

  #settleWaiters(): void {
    const waiting: Waiter[] = [];
    for (const waiter of this.#waiters) {
      if (this.reachedMs >= waiter.timeMs) waiter.resolve();
      else if (this.failure !== null) waiter.reject(this.failure);
      else if (this.ended) waiter.resolve();
      else waiting.push(waiter);
    }
    this.#waiters = waiting;
  }
}
