import { setTimeout as delay } from "node:timers/promises";
import { RuntimeError } from "../../core/errors.ts";
import type { Link } from "../link/link.ts";
import { LIMITS, PROTOCOL_VERSION } from "../protocol/limits.ts";
import type { Reply } from "../protocol/messages.ts";
import { encodeMessage, type WireMessage } from "../protocol/wire.ts";

/** What every reply of an execution says of itself. */
export type ReplyHead = Pick<Reply, "task" | "attempt" | "worker" | "seq" | "controls" | "validSeconds">;
/** A reply without its head. */
export type ReplyBody = {
  [K in Reply["kind"]]: Omit<Extract<Reply, { kind: K }>, "v" | keyof ReplyHead>;
}[Reply["kind"]];
type FinalBody = Extract<ReplyBody, { kind: "result" | "error" }>;

export interface ReplyStreamOptions {
  link: Link;
  device: string;
  task: string;
  attempt: number;
  worker: string;
  /** Number of the last follow-up that the request itself carried. */
  controls: number;
  traceparent: string | null;
  /** When the task's time is up, by `performance.now()`, ms. */
  endsMs: number;
  /** Least time between two deltas, ms. */
  deltaIntervalMs: number;
  /** Longest silence, ms. */
  heartbeatMs: number;
  onSent?: (kind: Reply["kind"]) => void;
}

/** A result or an error is worth keeping for a device that is away, even if it comes late: it will be marked stale. */
const FINAL_VALID_SECONDS = 3600;
/** Waits between attempts to publish while the link is down or busy, ms. */
const RETRY_MS = { first: 50, max: 1000 };

/**
 * What one execution says to its device: one reply after the other, each sent until the broker has it. Text is
 * gathered while the last reply is under way or the interval runs, so a slow broker gets fewer and larger deltas; what
 * waits is bounded by the length of a result. The stream runs until a final reply is out or `close`.
 */
export class ReplyStream {
  /** Resolves when the stream has ended: true if the final reply is with the broker. Rejects on a fault of the link that does not pass. */
  readonly ended: Promise<boolean>;
  readonly #options: ReplyStreamOptions;
  readonly #queue: ReplyBody[] = [];
  #final: FinalBody | null = null;
  #heartbeat: ReplyBody = { kind: "progress" };
  #pending = "";
  #offset = 0;
  #seq = 0;
  #controls: number;
  readonly #closing = new AbortController();
  #nextDeltaMs = 0;
  #wake: () => void = () => {};

  constructor(options: ReplyStreamOptions) {
    this.#options = options;
    this.#controls = options.controls;
    this.ended = this.#run();
  }

  /** Number of the last amend or answer taken in. */
  get controls(): number {
    return this.#controls;
  }

  accept(leaseMs: number): void {
    this.#queue.push({ kind: "accepted", leaseMs });
    this.#wake();
  }

  /** Confirms a follow-up. */
  took(control: number): void {
    this.#controls = control;
    this.#queue.push({ kind: "progress" });
    this.#wake();
  }

  /** Puts a question, and again at every heartbeat until `answered`. */
  ask(ask: string, text: string): void {
    this.#heartbeat = { kind: "ask", ask, text };
    this.#queue.push(this.#heartbeat);
    this.#wake();
  }

  answered(): void {
    this.#heartbeat = { kind: "progress" };
  }

  /** Adds to the result as it grows. */
  append(text: string): void {
    this.#pending += text;
    this.#wake();
  }

  /** The result begins anew. */
  restart(): void {
    this.#pending = "";
    this.#offset = 0;
  }

  /** The last reply. What has not been sent yet is dropped: a result is whole by itself; but nobody heeds it before "accepted". */
  finish(body: FinalBody): void {
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter(({ kind }) => kind === "accepted"));
    this.#pending = "";
    this.#final ??= body;
    this.#wake();
  }

  /** Ends without a last reply. */
  close(): void {
    this.#closing.abort();
    this.#wake();
  }

  async #run(): Promise<boolean> {
    let heartbeatDueMs = performance.now() + this.#options.heartbeatMs;
    while (!this.#closing.signal.aborted) {
      const nowMs = performance.now();
      const body = this.#next(nowMs, nowMs >= heartbeatDueMs);
      if (body === null) {
        const deltaDueMs = this.#pending === "" ? Number.POSITIVE_INFINITY : this.#nextDeltaMs;
        await this.#sleep(Math.min(heartbeatDueMs, deltaDueMs) - nowMs);
        continue;
      }
      const sent = await this.#send(body);
      if (sent && body === this.#final) return true;
      heartbeatDueMs = performance.now() + this.#options.heartbeatMs;
    }
    return false;
  }

  #next(nowMs: number, silentTooLong: boolean): ReplyBody | null {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    if (this.#final !== null) return this.#final;
    if (this.#pending !== "" && nowMs >= this.#nextDeltaMs) {
      this.#nextDeltaMs = nowMs + this.#options.deltaIntervalMs;
      return this.#takeDelta();
    }
    return silentTooLong ? this.#heartbeat : null;
  }

  #takeDelta(): ReplyBody {
    // Not between the halves of a surrogate pair.
    const text = this.#pending.slice(0, LIMITS.chars.delta).replace(/[\ud800-\udbff]$/, "");
    const delta: ReplyBody = { kind: "delta", offset: this.#offset, text };
    this.#pending = this.#pending.slice(text.length);
    this.#offset += text.length;
    return delta;
  }

  /** @returns false if the stream was closed, or the task's time passed, before the broker had it. */
  async #send(body: ReplyBody): Promise<boolean> {
    const { link, device, task, attempt, worker, traceparent, endsMs } = this.#options;
    const isFinal = body === this.#final;
    const seq = this.#seq + 1;
    this.#seq = seq;
    const leftSeconds = Math.ceil((endsMs - performance.now()) / 1000);
    const validSeconds = isFinal
      ? FINAL_VALID_SECONDS
      : Math.min(LIMITS.validSeconds.max, Math.max(LIMITS.validSeconds.min, leftSeconds));
    const head = { task, attempt, worker, seq, controls: this.#controls, validSeconds };
    const message = encodeReply(device, head, body, traceparent);
    for (
      let waitMs = RETRY_MS.first;
      !this.#closing.signal.aborted;
      waitMs = Math.min(RETRY_MS.max, 2 * waitMs)
    ) {
      try {
        await link.publish(message);
        this.#options.onSent?.(body.kind);
        return true;
      } catch (error) {
        if (!passes(error)) throw error;
      }
      if (performance.now() > endsMs + FINAL_VALID_SECONDS * 1000) this.close();
      await delay(waitMs, undefined, { signal: this.#closing.signal }).catch(() => {
        // Closed: the loop's condition sees it.
      });
    }
    return false;
  }

  /** Until there is something to send, or `ms`. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, ms));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** One reply, ready to be published. @throws RuntimeError "invalid-argument" if it breaks a bound of the protocol. */
export function encodeReply(
  device: string,
  head: ReplyHead,
  body: ReplyBody,
  traceparent: string | null,
): WireMessage {
  const reply = { v: PROTOCOL_VERSION, ...head, ...body } satisfies Reply;
  return encodeMessage({ channel: "replies", device }, reply, traceparent ?? undefined);
}

/** Whether a publish that failed may succeed later. */
export function passes(error: unknown): boolean {
  return (
    error instanceof RuntimeError &&
    (error.code === "link-down" || error.code === "link-busy" || error.code === "link-timeout")
  );
}
