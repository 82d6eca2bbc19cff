import type { Delivery } from "../link/link.ts";

/** Messages looked at in a second, and at once after a pause. A task needs a few in a second. */
const PER_SECOND = 200;
/** Looked at before other work of the process has its turn. */
const SLICE = 8;
/** Messages that may wait. Those of QoS 1 are fewer: the broker sends no more than the receive maximum. */
const CAPACITY = 256;

/** A message that has waited for its turn. */
export interface Waiting {
  delivery: Delivery;
  /** Monotonic ms. */
  arrivedMs: number;
}

/**
 * Takes in messages no faster than they can be looked at without harm: what comes faster waits unacknowledged, so that
 * the broker holds the rest back, and what does not fit is dropped and counted. A reasoner that floods a device costs it
 * a bounded share of its time and memory.
 */
export class Inbox {
  /** Messages that did not fit. */
  dropped = 0;
  readonly #handle: (waiting: Waiting) => void;
  readonly #nowMs: () => number;
  #waiting: Waiting[] = [];
  #budget = PER_SECOND;
  #budgetAtMs: number;
  #turn: NodeJS.Immediate | NodeJS.Timeout | null = null;
  #closed = false;

  /** @param handle is called for one message after the other, in order; it must not throw. */
  constructor(handle: (waiting: Waiting) => void, nowMs: () => number = () => performance.now()) {
    this.#handle = handle;
    this.#nowMs = nowMs;
    this.#budgetAtMs = nowMs();
  }

  push(delivery: Delivery): void {
    if (this.#closed) return;
    if (this.#waiting.length >= CAPACITY) {
      this.dropped++;
      delivery.acknowledge();
      return;
    }
    this.#waiting.push({ delivery, arrivedMs: this.#nowMs() });
    this.#turn ??= setImmediate(() => this.#work());
  }

  /** Forgets what waits, unacknowledged. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  #work(): void {
    this.#turn = null;
    const nowMs = this.#nowMs();
    this.#budget = Math.min(PER_SECOND, this.#budget + ((nowMs - this.#budgetAtMs) * PER_SECOND) / 1000);
    this.#budgetAtMs = nowMs;
    const count = Math.min(SLICE, Math.floor(this.#budget), this.#waiting.length);
    this.#budget -= count;
    for (const waiting of this.#waiting.splice(0, count)) {
      this.#handle(waiting);
      waiting.delivery.acknowledge();
    }
    if (this.#waiting.length === 0) return;
    const pauseMs = (SLICE * 1000) / PER_SECOND;
    this.#turn =
      this.#budget >= 1 ? setImmediate(() => this.#work()) : setTimeout(() => this.#work(), pauseMs).unref();
  }
}
