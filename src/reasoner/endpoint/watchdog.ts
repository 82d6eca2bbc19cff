import { EndpointError, type EndpointFault } from "./fault.ts";

/**
 * The time limits of one request: each wait of it may last so long, and the whole so long. Passing a limit, or the
 * caller's abort, aborts `signal` with the reason that the request then fails with.
 */
export class Watchdog {
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal;
  readonly #total: NodeJS.Timeout;

  constructor(outer: AbortSignal, totalMs: number) {
    this.#outer = outer;
    if (outer.aborted) this.#abort.abort(outer.reason);
    outer.addEventListener("abort", this.#onOuterAbort, { once: true });
    this.#total = setTimeout(() => this.#fail("deadline", totalMs), totalMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Waits for `work`, which hangs on `signal`: it fails with `fault` if that takes longer than `ms`. */
  async within<T>(ms: number, fault: EndpointFault, work: Promise<T>): Promise<T> {
    const limit = setTimeout(() => this.#fail(fault, ms), ms);
    try {
      return await work;
    } finally {
      clearTimeout(limit);
    }
  }

  /** Ends every limit; nothing is aborted any more. */
  release(): void {
    clearTimeout(this.#total);
    this.#outer.removeEventListener("abort", this.#onOuterAbort);
  }

  readonly #onOuterAbort = (): void => this.#abort.abort(this.#outer.reason);

  #fail(fault: EndpointFault, ms: number): void {
    this.#abort.abort(new EndpointError(fault, `nothing came within ${Math.round(ms)} ms`));
  }
}
