/**
 * The session's only clock: monotonic milliseconds since the session began.
 * Everything that waits or stamps takes one; wall time appears only at a file or network boundary.
 */
export interface Clock {
  readonly kind: "real" | "virtual";
  /** Session time, ms. It stands at 0 until `start`. */
  nowMs(): number;
  /** Begins session time; the session calls it when its sources are ready. Further calls change nothing. */
  start(): void;
  /** Resolves when session time has reached `timeMs`; at once if it has passed. Rejects with the signal's reason. */
  sleepUntil(timeMs: number, signal?: AbortSignal): Promise<void>;
  /**
   * Waits for work that takes no session time of its own, such as a read or a model step: virtual time stands still
   * until it settles, real time goes on. Without it the outcome of a virtual session would depend on the machine.
   */
  during<T>(work: Promise<T>): Promise<T>;
}

/** Session time as the machine's monotonic clock tells it. */
export class RealClock implements Clock {
  readonly kind = "real";
  readonly #monotonicMs: () => number;
  #originMs: number | null = null;
  #announceStart: () => void = () => {};
  readonly #started = new Promise<void>((resolve) => {
    this.#announceStart = resolve;
  });

  /** @param monotonicMs the machine's clock, any origin, ms. */
  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  nowMs(): number {
    return this.#originMs === null ? 0 : this.#monotonicMs() - this.#originMs;
  }

  start(): void {
    this.#originMs ??= this.#monotonicMs();
    this.#announceStart();
  }

  async sleepUntil(timeMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#originMs === null && timeMs > 0) await unlessAborted(this.#started, signal);
    // Node's timers may fire a millisecond early: look again until the time has come.
    for (let leftMs = timeMs - this.nowMs(); leftMs > 0; leftMs = timeMs - this.nowMs()) {
      await delay(leftMs, signal);
    }
  }

  during<T>(work: Promise<T>): Promise<T> {
    return work;
  }
}

interface Sleeper {
  timeMs: number;
  wake: () => void;
}

/**
 * Session time that jumps from one awaited moment to the next as soon as nothing is left to do at the present one, so
 * that a session runs as fast as the machine can and always in the same order. Sleepers of one moment wake in the
 * order in which they lay down, one at a time.
 */
export class VirtualClock implements Clock {
  readonly kind = "virtual";
  #nowMs = 0;
  #running = false;
  #held = 0;
  #tickPlanned = false;
  /** In the order of waking. */
  readonly #sleepers: Sleeper[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  start(): void {
    this.#running = true;
    this.#planTick();
  }

  sleepUntil(timeMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (timeMs <= this.#nowMs) return Promise.resolve();
    const asleep = new Promise<void>((resolve, reject) => {
      const sleeper: Sleeper = {
        timeMs,
        wake: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      let place = this.#sleepers.length;
      while (place > 0 && this.#sleepers[place - 1]!.timeMs > timeMs) place--;
      this.#sleepers.splice(place, 0, sleeper);
    });
    this.#planTick();
    return asleep;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    this.#held++;
    try {
      return await work;
    } finally {
      this.#held--;
      this.#planTick();
    }
  }

  /** Lets `ms` go by at once, waking sleepers on the way: how a test makes a step take time. */
  async pass(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    while (this.#sleepers.length > 0 && this.#sleepers[0]!.timeMs <= targetMs) {
      this.#wakeNext();
      await new Promise(setImmediate);
    }
    this.#nowMs = targetMs;
  }

  #planTick(): void {
    if (!this.#running || this.#tickPlanned || this.#held > 0 || this.#sleepers.length === 0) return;
    this.#tickPlanned = true;
    // A turn of the event loop lets everything that the last wake set going come to its next wait.
    setImmediate(() => {
      this.#tickPlanned = false;
      if (this.#held === 0 && this.#sleepers.length > 0) this.#wakeNext();
      this.#planTick();
    });
  }

  #wakeNext(): void {
    const sleeper = this.#sleepers.shift()!;
    this.#nowMs = Math.max(this.#nowMs, sleeper.timeMs);
    sleeper.wake();
  }
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: NodeJS.Timeout;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return unlessAborted(elapsed, signal).finally(() => clearTimeout(timer));
}

/** `work`, or a rejection with the signal's reason if that comes first. Leaves no listener behind. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
