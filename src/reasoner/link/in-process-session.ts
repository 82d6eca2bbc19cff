import type { WireMessage } from "../protocol/wire.ts";
import type { Delivery } from "./link.ts";

/** Messages that a session holds for its client; what comes beyond is dropped, as brokers do. */
const MAX_HELD = 1000;

interface Held {
  message: WireMessage;
  retained: boolean;
  /** Monotonic ms. */
  arrivedMs: number;
  sent: boolean;
}

/** What the in-process broker keeps of one client: its filters, and its messages until they are acknowledged. */
export class InProcessSession {
  readonly filters = new Set<string>();
  readonly #receiveMaximum: number;
  readonly #nowMs: () => number;
  readonly #waiting: Held[] = [];
  readonly #unacknowledged = new Set<Held>();
  #deliver: ((delivery: Delivery) => void) | null = null;
  /** Counts connections: an acknowledgement of an earlier one is void. */
  #connection = 0;
  #planned = false;

  constructor(receiveMaximum: number, nowMs: () => number) {
    this.#receiveMaximum = receiveMaximum;
    this.#nowMs = nowMs;
  }

  get connected(): boolean {
    return this.#deliver !== null;
  }

  /** What was not acknowledged comes again, in order and marked. */
  attach(deliver: (delivery: Delivery) => void): void {
    this.#deliver = deliver;
    this.#connection++;
    this.#waiting.unshift(...this.#unacknowledged);
    this.#unacknowledged.clear();
    this.#plan();
  }

  detach(): void {
    this.#deliver = null;
  }

  /** @returns false if the session is full and the message was dropped. */
  add(message: WireMessage, retained: boolean): boolean {
    if (this.#waiting.length + this.#unacknowledged.size >= MAX_HELD) return false;
    if (message.qos === 0 && !this.connected) return false;
    this.#waiting.push({ message, retained, arrivedMs: this.#nowMs(), sent: false });
    this.#plan();
    return true;
  }

  /** In a turn of its own: a publisher is never called back from within its publish. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(() => {
      this.#planned = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#deliver && this.#waiting.length > 0 && this.#unacknowledged.size < this.#receiveMaximum) {
      const held = this.#waiting.shift()!;
      const leftSeconds = this.#leftSeconds(held);
      if (leftSeconds !== undefined && leftSeconds <= 0) continue;
      this.#send(held, leftSeconds, this.#deliver);
    }
  }

  #send(held: Held, leftSeconds: number | undefined, deliver: (delivery: Delivery) => void): void {
    const { message, retained } = held;
    const connection = this.#connection;
    const redelivered = held.sent;
    held.sent = true;
    if (message.qos === 1) this.#unacknowledged.add(held);
    deliver({
      topic: message.topic,
      payload: Buffer.from(message.payload),
      properties: {
        ...message.properties,
        ...(leftSeconds !== undefined && { expirySeconds: leftSeconds }),
      },
      retained,
      redelivered,
      acknowledge: () => {
        if (!this.connected || connection !== this.#connection) return;
        if (this.#unacknowledged.delete(held)) this.#plan();
      },
    });
  }

  /** Section 3.3.2.3.3: the expiry that is forwarded is what was received less the time of waiting. */
  #leftSeconds({ message, arrivedMs }: Held): number | undefined {
    const { expirySeconds } = message.properties;
    if (expirySeconds === undefined) return undefined;
    return expirySeconds - Math.floor((this.#nowMs() - arrivedMs) / 1000);
  }
}
