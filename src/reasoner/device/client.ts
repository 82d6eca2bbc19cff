import { randomBytes } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { Source } from "../../core/device.ts";
import { messageOf } from "../../core/errors.ts";
import { type Log, stderrLog } from "../../core/log.ts";
import {
  REASONER_DEVICE,
  type Reasoner,
  type ReasonerState,
  type SessionSnapshot,
} from "../../core/reasoner.ts";
import type { Link, LinkState } from "../link/link.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { cleanText } from "../protocol/fields.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { RefusalReason } from "../protocol/parse.ts";
import { topicOf } from "../protocol/topics.ts";
import { ReasonerEvents } from "./event-source.ts";
import { Inbox, type Waiting } from "./inbox.ts";
import type { LeftTask } from "./journal.ts";
import { MessageGate } from "./message-gate.ts";
import { OpenTasks } from "./open-tasks.ts";
import { Sender } from "./sender.ts";
import type { EncodeStill } from "./snapshot.ts";
import { DeviceTask } from "./task.ts";
import { TaskStore } from "./task-store.ts";
import { WorkerWatch } from "./worker-watch.ts";

/** Tasks that may be open at once: each may hold a context of a megabyte. */
const MAX_TASKS = 16;
/** Characters of a task's text that its events carry. */
const ABOUT_CHARS = 200;

export interface ReasonerClientOptions {
  /** The device's identifier in topics. */
  device: string;
  /** Not open yet, with the device's presence; opened and closed by the client. */
  link: Link;
  /** Closed by the client. */
  outbox: Outbox;
  /** Time that a task may take, ms, within LIMITS.deadlineMs. */
  deadlineMs: number;
  /** What the reasoner said longer ago than this is marked stale, ms. */
  staleMs: number;
  /** Absent: no picture is ever sent. */
  encodeStill?: EncodeStill;
  log?: Log;
}

export interface ReasonerCounts {
  /** Tasks that were begun, and how they ended. */
  tasks: number;
  results: number;
  failed: number;
  cancelled: number;
  /** Attempts beyond the first of a task. */
  takeovers: number;
  /** Replies that had been seen before, and those of executions that nobody follows. */
  seen: number;
  strangers: number;
  /** Replies that never came although later ones did. */
  missing: number;
  /** Messages dropped because too many came, and events because too many waited. */
  droppedMessages: number;
  droppedEvents: number;
  /** Messages that were refused, by reason. */
  refused: Partial<Record<RefusalReason, number>>;
  /** Entries that could not be written to the outbox: what they say would not survive a crash. */
  unsaved: number;
}

/**
 * The device's side of the reasoner protocol. Nothing that a session calls waits: disk, network and pictures are worked
 * on beside it. What becomes of tasks comes round as events of `source`.
 */
export class ReasonerClient implements Reasoner {
  readonly source: Source;
  readonly #options: ReasonerClientOptions;
  readonly #log: Log;
  readonly #store: TaskStore;
  readonly #events: ReasonerEvents;
  readonly #inbox: Inbox;
  readonly #sender: Sender;
  readonly #tasks: OpenTasks;
  readonly #gate: MessageGate;
  readonly #workers: WorkerWatch;
  readonly #prefix = randomBytes(6).toString("hex");
  #given = 0;
  #clock: Clock | null = null;
  #alarm = new AbortController();
  #closed = false;

  constructor(options: ReasonerClientOptions) {
    this.#options = options;
    this.#log = options.log ?? stderrLog;
    const { outbox, deadlineMs, encodeStill = null } = options;
    this.#gate = new MessageGate(this.#log);
    this.#workers = new WorkerWatch(options.link, (fault) => this.#linkFault(fault));
    this.#store = new TaskStore({ outbox, deadlineMs, encodeStill, log: this.#log });
    this.#events = new ReasonerEvents((clock) => this.#open(clock));
    this.source = this.#events;
    this.#inbox = new Inbox((waiting) => this.#take(waiting));
    this.#tasks = new OpenTasks({
      tell: (task, state, text, ageMs) => this.#tell(task, state, text, ageMs),
      stop: (execution, reason) => this.#sender.cancel(execution, reason),
      attempt: ({ id: task, attempt }) => this.#store.save({ kind: "attempt", task, attempt }),
      final: (task) => this.#store.forget(task),
    });
    this.#sender = new Sender(options.link, options.device, {
      nowMs: () => this.#nowMs(),
      next: () => this.#tasks.nextToSend(this.#nowMs()),
      impossible: (task, why) => this.#tasks.fail(task, why),
      nobodyThere: (task) => {
        if (task.firstWait()) this.#tell(task, "waiting", "no reasoner is there to take it", 0);
      },
      changed: () => this.#rearm(),
    });
  }

  get counts(): ReasonerCounts {
    return {
      ...this.#tasks.counts,
      droppedMessages: this.#inbox.dropped,
      droppedEvents: this.#events.dropped,
      refused: this.#gate.refused,
      unsaved: this.#store.unsaved,
    };
  }

  delegate(text: string, snapshot: SessionSnapshot): void {
    const id = `${this.#prefix}-${++this.#given}`;
    const clean = cleanText(text.trim(), LIMITS.chars.task);
    if (clean === "") {
      this.#refuse(id, "", "the task has no words");
      return;
    }
    if (this.#tasks.size >= MAX_TASKS) {
      this.#refuse(id, clean, "too many tasks are open");
      return;
    }
    const nowMs = this.#nowMs();
    const dueMs = nowMs + this.#options.deadlineMs;
    // In its place from now on, so that it can be amended and cancelled; it is sent when its context stands.
    const task = new DeviceTask({
      id,
      text: clean,
      context: null,
      dueMs,
      traceparent: newTraceparent(),
      nowMs,
    });
    this.#tasks.add(task);
    if (this.#options.link.state !== "up")
      this.#tell(task, "waiting", "the reasoner cannot be reached now", 0);
    this.#store.add(task, snapshot, (context) => {
      task.context = context;
      this.#rearm();
    });
    this.#rearm();
  }

  amend(text: string, task?: string): void {
    this.#follow("amend", text, this.#tasks.find(task), "there is no such task");
  }

  answer(text: string, task?: string): void {
    const asked = this.#tasks.find(task, ({ ask }) => ask !== null);
    this.#follow("answer", text, asked, "nothing was asked");
  }

  cancel(task?: string): void {
    const open = this.#tasks.find(task);
    if (!open) {
      this.#refuse(task ?? "", "", "there is no such task");
      return;
    }
    this.#tasks.cancel(open);
    this.#rearm();
  }

  /**
   * Closes link and outbox. Tasks that are open stay in the outbox for the next session. Resolves within a bounded
   * time, whatever the broker does.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#alarm.abort();
    this.#inbox.close();
    await this.#options.link.close();
    await this.#store.close();
  }

  /** The session begins: what an earlier one left open comes first. */
  #open(clock: Clock): void {
    this.#clock = clock;
    this.#store.open(clock, (left) => this.#resume(left));
    const { link, device } = this.#options;
    link.open({
      message: (delivery) => this.#inbox.push(delivery),
      state: (state, detail) => this.#linkState(state, detail),
    });
    link.subscribe(topicOf({ channel: "replies", device })).catch((fault: unknown) => this.#linkFault(fault));
  }

  #nowMs(): number {
    return this.#clock?.nowMs() ?? 0;
  }

  #resume({ task: id, text, context, followUps, deadlineMs, ageMs, ...left }: LeftTask): void {
    const nowMs = this.#nowMs();
    // Its last attempt may be in good hands, but nobody knows in whose.
    const attempt = Math.min(left.attempt + 1, LIMITS.attempts);
    const dueMs = nowMs + deadlineMs - ageMs;
    const traceparent = newTraceparent();
    this.#tasks.add(new DeviceTask({ id, text, context, followUps, attempt, dueMs, traceparent, nowMs }));
    this.#store.save({ kind: "attempt", task: id, attempt });
    this.#rearm();
  }

  #follow(kind: "amend" | "answer", text: string, task: DeviceTask | undefined, none: string): void {
    if (!task) {
      this.#refuse("", "", none);
      return;
    }
    const clean = cleanText(text.trim(), LIMITS.chars[kind]);
    const followUp = clean === "" ? null : task.follow(kind, clean);
    if (!followUp) {
      this.#refuse(task.id, task.text, "no more can be added to it");
      return;
    }
    this.#store.save({ kind: "follow-up", task: task.id, followUp });
    this.#sender.wake();
  }

  #linkState(state: LinkState, detail: string): void {
    if (state === "closed" || this.#closed) return;
    if (state === "up") this.#tasks.linkUp(this.#nowMs());
    const told = state === "up" ? "ready" : "lost";
    this.#events.push({ kind: "device", device: REASONER_DEVICE, state: told, detail });
    this.#rearm();
  }

  #linkFault(fault: unknown): void {
    if (!this.#closed) this.#log.write("error", REASONER_DEVICE, messageOf(fault));
  }

  #take({ delivery, arrivedMs }: Waiting): void {
    const received = this.#gate.pass(delivery);
    if (!received) return;
    const nowMs = this.#nowMs();
    if (received.channel === "replies" && received.device === this.#options.device) {
      const ageMs = 1000 * received.ageSeconds + performance.now() - arrivedMs;
      this.#tasks.reply(received.message, ageMs, nowMs);
    } else if (received.channel === "worker-presence" && received.message.state === "offline") {
      this.#tasks.workerGone(received.worker, nowMs);
    }
    this.#rearm();
  }

  #tell(task: DeviceTask, state: ReasonerState, text: string, ageMs: number): void {
    const stale = ageMs >= this.#options.staleMs;
    const about = cleanText(task.text, ABOUT_CHARS);
    this.#events.push({
      kind: "reasoner",
      task: task.id,
      state,
      about,
      text,
      ageMs: Math.round(ageMs),
      stale,
    });
  }

  #refuse(task: string, about: string, text: string): void {
    const cut = cleanText(about, ABOUT_CHARS);
    this.#events.push({ kind: "reasoner", task, state: "refused", about: cut, text, ageMs: 0, stale: false });
  }

  /** Does what is due and sleeps until something is again. */
  #rearm(): void {
    if (this.#closed || !this.#clock) return;
    const linkUp = this.#options.link.state === "up";
    this.#tasks.tick(this.#nowMs(), linkUp);
    this.#workers.follow(this.#tasks.followed);
    this.#sender.wake();
    this.#alarm.abort();
    const nextMs = this.#tasks.nextMs(linkUp);
    // What is due already goes out one after the other; the sender says when it has.
    if (!Number.isFinite(nextMs) || nextMs <= this.#nowMs()) return;
    this.#alarm = new AbortController();
    this.#clock.sleepUntil(nextMs, this.#alarm.signal).then(
      () => this.#rearm(),
      () => {
        // Another alarm has taken its place.
      },
    );
  }
}

/** W3C Trace Context, level 1: version 00, random ids, sampled. */
function newTraceparent(): string {
  return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
}
