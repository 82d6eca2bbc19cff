import type { Clock } from "../../core/clock.ts";
import type { Captured, Source } from "../../core/device.ts";
import type { InputEvent, ReasonerEvent } from "../../core/micro-turn.ts";
import { REASONER_DEVICE } from "../../core/reasoner.ts";

/** Events handed over at once and in each such time, ms: a model reads no faster, and typed text must not wait. */
const PER_TURN = 4;
const TURN_MS = 200;
/** Events that may wait; beyond it the oldest goes. Tasks and rates are bounded, so it is never reached in good order. */
const CAPACITY = 128;
/** Characters of a partial result that may wait to be handed over. */
const PARTIAL_CHARS = 4000;

/** An event that has no time yet: it gets the one at which it is handed over. */
export type Untimed<E = InputEvent> = E extends InputEvent ? Omit<E, "timeMs"> : never;
type Told = Untimed<Extract<InputEvent, { kind: "reasoner" | "device" }>>;

/**
 * What the model is told about tasks and link, as a source of the timeline. Bounded: what waits is brought up to date
 * by what comes (pieces of a result are joined, a result takes the place of its pieces) and handed over at a bounded rate.
 */
export class ReasonerEvents implements Source {
  readonly name = REASONER_DEVICE;
  readonly kind = "events";
  readonly recorded = false;
  /** Events that did not fit. */
  dropped = 0;
  readonly #opened: (clock: Clock, signal: AbortSignal) => void;
  #waiting: Told[] = [];
  #wake: () => void = () => {};

  /** @param opened is told the session's clock when the session begins, and the signal that ends it. */
  constructor(opened: (clock: Clock, signal: AbortSignal) => void) {
    this.#opened = opened;
  }

  push(event: Told): void {
    this.#waiting = this.#waiting.filter((waiting) => !replaces(event, waiting));
    const joined = this.#waiting.findIndex((waiting) => continues(event, waiting));
    if (joined >= 0) {
      const before = this.#waiting[joined] as Untimed<ReasonerEvent>;
      const text = (before.text + (event as Untimed<ReasonerEvent>).text).slice(0, PARTIAL_CHARS);
      this.#waiting[joined] = { ...before, text };
    } else this.#waiting.push(event);
    if (this.#waiting.length > CAPACITY) {
      this.#waiting.shift();
      this.dropped++;
    }
    this.#wake();
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    this.#opened(clock, signal);
    const onAbort = () => this.#wake();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!signal.aborted) {
        if (this.#waiting.length === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        const timeMs = clock.nowMs();
        for (const told of this.#waiting.splice(0, PER_TURN)) {
          yield { kind: "event", captureMs: timeMs, event: { ...told, timeMs } };
        }
        await clock.sleepUntil(timeMs + TURN_MS, signal);
      }
    } catch (fault) {
      if (!signal.aborted) throw fault;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/** True if nobody needs to hear of `before` any more once `after` is known. */
function replaces(after: Told, before: Told): boolean {
  if (after.kind !== "reasoner" || before.kind !== "reasoner") return after.kind === before.kind;
  if (after.task !== before.task) return false;
  switch (after.state) {
    case "result":
    case "failed":
      return before.state !== "refused";
    case "progress":
    case "ask":
    case "waiting":
      return before.state === after.state;
    case "accepted":
      return before.state === "waiting" || before.state === "partial";
    case "partial":
    case "refused":
      return false;
    default:
      return after satisfies never;
  }
}

function continues(after: Told, before: Told): boolean {
  return (
    after.kind === "reasoner" &&
    before.kind === "reasoner" &&
    after.state === "partial" &&
    before.state === "partial" &&
    after.task === before.task
  );
}
