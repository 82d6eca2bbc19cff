import type { WireMessage } from "../protocol/wire.ts";
import { linkFailure } from "./failure.ts";
import type { PublishOutcome } from "./link.ts";

/** Sends one message and says what became of it. */
export type Send = (
  message: WireMessage,
  settled: (fault: Error | null, outcome: PublishOutcome) => void,
) => { /** Stops sending it again; `settled` is not called any more. */ abandon(): void };

interface Publish {
  message: WireMessage;
  resolve: (outcome: PublishOutcome) => void;
  reject: (fault: Error) => void;
  timer: NodeJS.Timeout;
  /** Set once it was sent. */
  abandon: (() => void) | null;
}

/** Publishes that wait for a free slot; one more is refused as "link-busy". */
const MAX_WAITING = 256;

/**
 * The publishes of a link: at most `slots()` unanswered at a time, sent in the order of the calls, a bounded number
 * waiting, each settled within the timeout.
 */
export class PublishQueue {
  readonly #name: string;
  readonly #send: Send;
  readonly #slots: () => number;
  readonly #timeoutMs: number;
  readonly #waiting: Publish[] = [];
  readonly #inFlight = new Set<Publish>();

  constructor(name: string, options: { send: Send; slots: () => number; timeoutMs: number }) {
    this.#name = name;
    this.#send = options.send;
    this.#slots = options.slots;
    this.#timeoutMs = options.timeoutMs;
  }

  /** Messages that are held: unanswered and waiting. */
  get size(): number {
    return this.#waiting.length + this.#inFlight.size;
  }

  publish(message: WireMessage): Promise<PublishOutcome> {
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(linkFailure("link-busy", this.#name, `${this.size} publishes are under way`));
    }
    return new Promise((resolve, reject) => {
      const publish: Publish = {
        message,
        resolve,
        reject,
        abandon: null,
        timer: setTimeout(() => {
          this.#drop(publish, linkFailure("link-timeout", this.#name, `no answer in ${this.#timeoutMs} ms`));
        }, this.#timeoutMs),
      };
      this.#waiting.push(publish);
      this.#pump();
    });
  }

  /** The connection is gone: what waits is rejected; what was sent may still be answered after a reconnect. */
  rejectWaiting(): void {
    for (const publish of [...this.#waiting]) this.#drop(publish, this.#down());
  }

  /** The link is closed: everything is rejected. */
  rejectAll(): void {
    this.rejectWaiting();
    for (const publish of [...this.#inFlight]) this.#drop(publish, this.#down());
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#inFlight.size < this.#slots()) {
      const publish = this.#waiting.shift()!;
      this.#inFlight.add(publish);
      const sending = this.#send(publish.message, (fault, outcome) => {
        if (!this.#release(publish)) return;
        if (fault) publish.reject(fault);
        else publish.resolve(outcome);
        this.#pump();
      });
      publish.abandon = () => sending.abandon();
    }
  }

  #drop(publish: Publish, fault: Error): void {
    const place = this.#waiting.indexOf(publish);
    if (place >= 0) this.#waiting.splice(place, 1);
    else if (!this.#release(publish)) return;
    clearTimeout(publish.timer);
    publish.abandon?.();
    publish.reject(fault);
    this.#pump();
  }

  #release(publish: Publish): boolean {
    clearTimeout(publish.timer);
    return this.#inFlight.delete(publish);
  }

  #down(): Error {
    return linkFailure("link-down", this.#name, "the link is down");
  }
}
