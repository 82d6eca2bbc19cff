import type { ReasonerState } from "../../core/reasoner.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Reply } from "../protocol/messages.ts";
import type { DeviceTask } from "./task.ts";

/** Executions that were told to stop and need not be told again. */
const MAX_STOPPED = 512;

/** One attempt in the hands of one worker. */
export interface Execution {
  task: string;
  attempt: number;
  worker: string;
}

export type StopReason = "dropped" | "superseded" | "expired";

/** What follows from replies and from time. Must not throw. */
export interface TaskListener {
  tell(task: DeviceTask, state: ReasonerState, text: string, ageMs: number): void;
  /** An execution that nobody follows any more is to end. Told once for each. */
  stop(execution: Execution, reason: StopReason): void;
  /** A new attempt has begun. */
  attempt(task: DeviceTask): void;
  /** Nothing more can come of the task. */
  final(task: DeviceTask): void;
}

/** The tasks that are open, in the order in which they were given, and what replies and time make of them. */
export class OpenTasks {
  readonly counts = {
    tasks: 0,
    results: 0,
    failed: 0,
    cancelled: 0,
    takeovers: 0,
    seen: 0,
    strangers: 0,
    missing: 0,
  };
  readonly #tasks = new Map<string, DeviceTask>();
  readonly #stopped = new Set<string>();
  readonly #listener: TaskListener;

  constructor(listener: TaskListener) {
    this.#listener = listener;
  }

  get size(): number {
    return this.#tasks.size;
  }

  /** Workers that have a task of ours in hand. */
  get followed(): Set<string> {
    return new Set([...this.#tasks.values()].map(({ worker }) => worker).filter((worker) => worker !== null));
  }

  add(task: DeviceTask): void {
    this.counts.tasks++;
    this.#tasks.set(task.id, task);
  }

  has(task: DeviceTask): boolean {
    return this.#tasks.get(task.id) === task;
  }

  /** The task of that name, or without one the newest that is `wanted`. */
  find(id: string | undefined, wanted: (task: DeviceTask) => boolean = () => true): DeviceTask | undefined {
    if (id !== undefined) return this.#tasks.get(id);
    return [...this.#tasks.values()].findLast(wanted);
  }

  /** @param ageMs since the worker sent it. */
  reply(reply: Reply, ageMs: number, nowMs: number): void {
    const task = this.#tasks.get(reply.task);
    switch (task?.receive(reply, nowMs) ?? "stranger") {
      case "news":
        this.#carryOut(task!, reply, ageMs, nowMs);
        break;
      case "seen":
        this.counts.seen++;
        break;
      case "stranger":
        this.counts.strangers++;
        // After its last word it has stopped by itself.
        if (reply.kind !== "result" && reply.kind !== "error") this.#stop(reply, "superseded");
        break;
    }
  }

  workerGone(worker: string, nowMs: number): void {
    for (const task of this.#all()) if (task.worker === worker) this.#takeOver(task, nowMs, true);
  }

  /** The person has dropped it. */
  cancel(task: DeviceTask): void {
    this.counts.cancelled++;
    this.#stopWorkerOf(task, "dropped");
    this.#remove(task);
  }

  fail(task: DeviceTask, why: string): void {
    if (!this.has(task)) return;
    this.#stopWorkerOf(task, "expired");
    this.#finish(task, "failed", why, 0);
  }

  linkUp(nowMs: number): void {
    for (const task of this.#all()) task.renewLease(nowMs);
  }

  /** Does what time demands. */
  tick(nowMs: number, linkUp: boolean): void {
    for (const task of this.#all()) {
      if (task.dueMs <= nowMs) this.fail(task, "there was no answer in time");
      else if (!linkUp) continue;
      else if (task.phase.name !== "due" && task.phase.untilMs <= nowMs) this.#takeOver(task, nowMs, true);
      else task.resendControls(nowMs);
    }
  }

  /** Session time of the next `tick` that has something to do, ms; infinite if there is none. */
  nextMs(linkUp: boolean): number {
    return Math.min(...this.#all().map((task) => task.nextMs(linkUp)));
  }

  /** The first task of which something is to be sent now. */
  nextToSend(nowMs: number): DeviceTask | null {
    const isDue = ({ context, phase }: DeviceTask) =>
      context !== null && phase.name === "due" && phase.fromMs <= nowMs;
    return this.#all().find((task) => isDue(task) || task.nextControl() !== null) ?? null;
  }

  #all(): DeviceTask[] {
    return [...this.#tasks.values()];
  }

  #carryOut(task: DeviceTask, reply: Reply, ageMs: number, nowMs: number): void {
    const tell = (state: ReasonerState, text: string) => this.#listener.tell(task, state, text, ageMs);
    switch (reply.kind) {
      case "accepted":
        tell("accepted", "");
        break;
      case "progress":
        if (reply.text !== undefined) tell("progress", reply.text);
        break;
      case "delta": {
        const fresh = task.takeDelta(reply.offset, reply.text);
        if (fresh !== "") tell("partial", fresh);
        break;
      }
      case "ask":
        if (task.takeAsk(reply.ask, reply.text)) tell("ask", reply.text);
        break;
      case "result":
        this.#finish(task, "result", reply.text, ageMs);
        break;
      case "error":
        if (reply.retryable) this.#takeOver(task, nowMs, false);
        else this.#finish(task, "failed", reply.message, ageMs);
        break;
      default:
        reply satisfies never;
    }
  }

  /** Gives a task to a worker anew. @param silent the one that had it may still be at it: it is told to stop. */
  #takeOver(task: DeviceTask, nowMs: number, silent: boolean): void {
    if (task.attempt >= LIMITS.attempts) {
      this.fail(task, "too many attempts");
      return;
    }
    if (silent) this.#stopWorkerOf(task, "superseded");
    this.counts.takeovers++;
    task.beginAttempt(nowMs, silent);
    this.#listener.attempt(task);
  }

  #stopWorkerOf({ id, attempt, worker }: DeviceTask, reason: StopReason): void {
    if (worker !== null) this.#stop({ task: id, attempt, worker }, reason);
  }

  #stop({ task, attempt, worker }: Execution, reason: StopReason): void {
    const key = `${task}/${attempt}/${worker}`;
    if (this.#stopped.has(key)) return;
    this.#stopped.add(key);
    if (this.#stopped.size > MAX_STOPPED) this.#stopped.delete(this.#stopped.values().next().value!);
    this.#listener.stop({ task, attempt, worker }, reason);
  }

  #finish(task: DeviceTask, state: "result" | "failed", text: string, ageMs: number): void {
    this.counts[state === "result" ? "results" : "failed"]++;
    this.#listener.tell(task, state, text, ageMs);
    this.#remove(task);
  }

  #remove(task: DeviceTask): void {
    this.counts.missing += task.missing;
    this.#tasks.delete(task.id);
    this.#listener.final(task);
  }
}
