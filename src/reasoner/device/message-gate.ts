import type { Log } from "../../core/log.ts";
import { REASONER_DEVICE } from "../../core/reasoner.ts";
import type { Delivery } from "../link/link.ts";
import { parseMessage, type Received, type RefusalReason } from "../protocol/parse.ts";

/** Lets in what is a message of the protocol, and counts what is not. */
export class MessageGate {
  readonly #log: Log;
  readonly #refused: Partial<Record<RefusalReason, number>> = {};

  constructor(log: Log) {
    this.#log = log;
  }

  /** Messages that were refused, by reason; a copy. */
  get refused(): Partial<Record<RefusalReason, number>> {
    return { ...this.#refused };
  }

  /** The message, or null for one that was refused. */
  pass(delivery: Delivery): Received | null {
    const parsed = parseMessage(delivery.topic, delivery.payload, delivery.properties);
    if (parsed.ok) return parsed.received;
    const { reason, detail } = parsed.refusal;
    const count = (this.#refused[reason] ?? 0) + 1;
    this.#refused[reason] = count;
    // The first of each kind, then one in a thousand: a flood must not fill the log.
    if (count % 1000 === 1)
      this.#log.write("warning", REASONER_DEVICE, `message refused: ${reason}, ${detail}`);
    return null;
  }
}
