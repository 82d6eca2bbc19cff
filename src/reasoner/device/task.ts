import type { ContextSnapshot, FollowUp } from "../protocol/context.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Reply, Request } from "../protocol/messages.ts";

/** An attempt that nobody accepts is given up after this time, and each next one after twice as long, ms. */
const ACCEPT_MS = 10_000;
const MAX_ACCEPT_MS = 120_000;
/** Pauses before a request is published again, ms: the first, and the longest that doubling leads to. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A control that no reply has confirmed is sent again after this time, ms. */
const CONTROL_MS = 5000;

/** Where a task stands. Times are session time, ms. */
export type Phase =
  /** Its request is to be published, not before `fromMs`. */
  | { name: "due"; fromMs: number }
  /** Published, or being published; nobody has accepted it. */
  | { name: "offered"; untilMs: number }
  /** A worker has it. */
  | { name: "followed"; worker: string; seq: number; leaseMs: number; untilMs: number };

/** What a reply means: it is to be told, it was seen before, or it comes from an execution that nobody follows. */
export type Verdict = "news" | "seen" | "stranger";

/**
 * One task on the device's side: which execution it follows and what is still to be sent. Holds the rules of the
 * protocol's page ("What a device does"), no clock and no link.
 */
export class DeviceTask {
  readonly id: string;
  readonly text: string;
  /** What the session was like when the task was given; null until it has been put together and saved. */
  context: ContextSnapshot | null;
  /** Session time at which it fails, ms. */
  readonly dueMs: number;
  readonly traceparent: string;
  readonly followUps: FollowUp[];
  attempt: number;
  phase: Phase;
  /** The question that is open, or null. */
  ask: { id: string; text: string } | null = null;
  /** Characters of the result that have come in pieces. */
  partialChars = 0;
  /** `seq`s that never came. */
  missing = 0;
  #waits = false;
  #retries = 0;
  /** Attempts in a row that nobody accepted. */
  #lapses = 0;
  #asked = 0;
  /** Follow-ups that the attempt's request carried, that were sent with it or after, and that the worker confirmed. */
  #carried = 0;
  #sent = 0;
  #confirmed = 0;
  #sentAtMs = 0;

  constructor(given: {
    id: string;
    text: string;
    context: ContextSnapshot | null;
    dueMs: number;
    traceparent: string;
    followUps?: FollowUp[];
    attempt?: number;
    nowMs: number;
  }) {
    this.id = given.id;
    this.text = given.text;
    this.context = given.context;
    this.dueMs = given.dueMs;
    this.traceparent = given.traceparent;
    this.followUps = given.followUps ?? [];
    this.attempt = given.attempt ?? 1;
    this.phase = { name: "due", fromMs: given.nowMs };
  }

  get worker(): string | null {
    return this.phase.name === "followed" ? this.phase.worker : null;
  }

  /** The attempt as the protocol has it. */
  request(nowMs: number, context: ContextSnapshot): Request {
    const { min, max } = LIMITS.deadlineMs;
    const deadlineMs = Math.round(Math.min(max, Math.max(min, this.dueMs - nowMs)));
    const { id, attempt, text } = this;
    return {
      v: 1,
      kind: "request",
      task: id,
      attempt,
      text,
      deadlineMs,
      context,
      followUps: [...this.followUps],
    };
  }

  /** Its request is on its way: an answer may come before the broker has confirmed it. */
  offered(nowMs: number): void {
    const acceptMs = Math.min(MAX_ACCEPT_MS, ACCEPT_MS * 2 ** this.#lapses);
    this.phase = { name: "offered", untilMs: nowMs + acceptMs };
    this.#carried = this.followUps.length;
    this.#sent = this.#carried;
    this.#confirmed = 0;
  }

  /** The same attempt is to be published again: it has reached nobody. */
  offerLater(nowMs: number): void {
    this.phase = { name: "due", fromMs: nowMs + this.#backOff() };
  }

  /** True the first time in a row that nobody is there to take it. */
  firstWait(): boolean {
    const first = !this.#waits;
    this.#waits = true;
    return first;
  }

  /** Gives the task to a worker anew. @param atOnce without a pause. */
  beginAttempt(nowMs: number, atOnce: boolean): void {
    if (this.phase.name === "offered") this.#lapses++;
    this.attempt++;
    this.phase = { name: "due", fromMs: nowMs + (atOnce ? 0 : this.#backOff()) };
    this.partialChars = 0;
  }

  /** Takes note of a reply; the caller carries it out if it is news. */
  receive(reply: Reply, nowMs: number): Verdict {
    if (reply.attempt !== this.attempt || this.phase.name === "due") return "stranger";
    if (this.phase.name === "offered") {
      // A worker with its hands full says so without having accepted.
      if (reply.kind === "error") return "news";
      if (reply.kind !== "accepted") return "stranger";
      this.phase = { name: "followed", worker: reply.worker, seq: 0, leaseMs: reply.leaseMs, untilMs: 0 };
      this.#waits = false;
      this.#retries = 0;
      this.#lapses = 0;
    }
    const { phase } = this;
    if (reply.worker !== phase.worker) return "stranger";
    phase.untilMs = nowMs + phase.leaseMs;
    if (reply.seq <= phase.seq) return "seen";
    this.missing += reply.seq - phase.seq - 1;
    phase.seq = reply.seq;
    this.#confirmed = Math.max(this.#confirmed, Math.min(reply.controls, this.followUps.length));
    return "news";
  }

  /** True if the question is one that has not been told. A task asks only so often. */
  takeAsk(id: string, text: string): boolean {
    if (this.ask?.id === id || this.#asked >= LIMITS.entries.followUps) return false;
    this.#asked++;
    this.ask = { id, text };
    return true;
  }

  /** What of a piece of the result has not come yet. */
  takeDelta(offset: number, text: string): string {
    const fresh = text.slice(Math.max(0, this.partialChars - offset));
    this.partialChars = Math.max(this.partialChars, offset + text.length);
    return fresh;
  }

  /** Adds what the person said. @returns null if there has been too much. */
  follow(kind: "amend" | "answer", text: string): FollowUp | null {
    if (this.followUps.length >= LIMITS.entries.followUps) return null;
    const control = this.followUps.length + 1;
    let followUp: FollowUp;
    if (kind === "amend") followUp = { kind, control, text };
    else if (this.ask) followUp = { kind, control, ask: this.ask.id, question: this.ask.text, text };
    else return null;
    if (kind === "answer") this.ask = null;
    this.followUps.push(followUp);
    return followUp;
  }

  /** The follow-up that the worker is to be sent next, or null. */
  nextControl(): FollowUp | null {
    return this.phase.name === "followed" ? (this.followUps[this.#sent] ?? null) : null;
  }

  controlSent(nowMs: number): void {
    this.#sent++;
    this.#sentAtMs = nowMs;
  }

  /** Sends again what the worker has not confirmed, if it is time. */
  resendControls(nowMs: number): void {
    if (nowMs >= this.#controlsDueMs) this.#sent = Math.max(this.#confirmed, this.#carried);
  }

  get #controlsDueMs(): number {
    const unconfirmed = this.#sent > Math.max(this.#confirmed, this.#carried);
    return unconfirmed ? this.#sentAtMs + CONTROL_MS : Number.POSITIVE_INFINITY;
  }

  /** Session time at which something is to be done next, ms. @param linkUp nothing is sent, and no lease runs, without. */
  nextMs(linkUp: boolean): number {
    if (!linkUp) return this.dueMs;
    switch (this.phase.name) {
      case "due":
        return Math.min(this.dueMs, this.phase.fromMs);
      case "offered":
        return Math.min(this.dueMs, this.phase.untilMs);
      case "followed":
        return Math.min(this.dueMs, this.phase.untilMs, this.#controlsDueMs);
      default:
        return this.phase satisfies never;
    }
  }

  /** The link is up again: nobody could be heard meanwhile. */
  renewLease(nowMs: number): void {
    if (this.phase.name === "followed") this.phase.untilMs = nowMs + this.phase.leaseMs;
    if (this.phase.name === "offered") this.phase.untilMs = Math.max(this.phase.untilMs, nowMs + ACCEPT_MS);
    this.#sent = Math.max(this.#confirmed, this.#carried);
  }

  #backOff(): number {
    const pauseMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#retries++, 10));
    // Half of it by chance, so that devices that failed together do not come back together.
    return pauseMs * (0.5 + Math.random() / 2);
  }
}
