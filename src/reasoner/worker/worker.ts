import { messageOf } from "../../core/errors.ts";
import type { Endpoint } from "../endpoint/chat.ts";
import { EndpointError } from "../endpoint/fault.ts";
import type { Delivery, Link, LinkState } from "../link/link.ts";
import type { TaskError } from "../protocol/messages.ts";
import { parseMessage, type Received } from "../protocol/parse.ts";
import { controlsFilter, requestsFilter } from "../protocol/topics.ts";
import { Membership } from "./membership.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { RecentSet } from "./recent-set.ts";
import { encodeReply, ReplyStream } from "./reply-stream.ts";
import { TaskFault, TaskRun } from "./task-run.ts";
import { workerPresence } from "./worker-link.ts";

/** What a worker tells of itself: names, sizes and times, never what was said. */
export type WorkerEvent =
  | { kind: "link"; state: LinkState; detail: string }
  | { kind: "taken"; device: string; task: string; attempt: number }
  | {
      kind: "ended";
      device: string;
      task: string;
      attempt: number;
      outcome: "result" | TaskError;
      /** From the request to the last reply. */
      ms: number;
      detail: string;
    }
  | { kind: "declined"; device: string; task: string; attempt: number; code: "busy" | "stopping" }
  | { kind: "refused"; reason: string; detail: string }
  | { kind: "retry"; fault: string; waitMs: number }
  | { kind: "fault"; detail: string };

export interface ReasonerWorkerOptions {
  /** New with every process. */
  id: string;
  /** The workers of a group share the requests. */
  group: string;
  /** Made with `workerLinkOptions`. The worker opens and closes it. */
  link: Link;
  endpoint: Endpoint;
  /** Tasks at a time. */
  concurrency: number;
  /** Silence after which devices may take it for dead, ms. */
  leaseMs: number;
  /** Least time between two deltas of a task, ms. */
  deltaIntervalMs: number;
  metrics: WorkerMetrics;
  onEvent?: (event: WorkerEvent) => void;
}

type RequestReceived = Extract<Received, { channel: "requests" }>;
type ControlReceived = Extract<Received, { channel: "controls" }>;

/** Executions that are remembered after they ended, so that a message that comes twice is not worked on twice. */
const REMEMBERED = 4096;
/** Time for the last replies of tasks that were cut short by the end of a drain, ms. */
const LAST_WORDS_MS = 5000;

/**
 * Takes tasks from a link and works on them with an endpoint, by the rules of the protocol's page. It keeps nothing:
 * the device answers for a task that is lost with its worker.
 */
export class ReasonerWorker {
  readonly #options: ReasonerWorkerOptions;
  readonly #membership: Membership;
  /** By device and task. */
  readonly #running = new Map<string, TaskRun>();
  readonly #ends = new Set<Promise<void>>();
  readonly #seen = new RecentSet(REMEMBERED);
  #draining: Promise<void> | null = null;
  /** The endpoint's last word was that the key is wrong. */
  #unauthorized = false;

  constructor(options: ReasonerWorkerOptions) {
    this.#options = options;
    this.#membership = new Membership(options.link, requestsFilter(options.group), (detail) =>
      this.#tell({ kind: "fault", detail }),
    );
  }

  /** Tasks under way. */
  get running(): number {
    return this.#running.size;
  }

  /** Why no task would be taken now, or null. */
  unready(): string | null {
    if (this.#draining) return "draining";
    if (this.#options.link.state !== "up") return "the broker is not reached";
    if (this.#unauthorized) return "the endpoint refuses the key";
    return null;
  }

  /** Opens the link and joins the group. Returns at once; `unready` tells when it is done. */
  start(): void {
    const { link, id } = this.#options;
    link.open({
      message: (delivery) => this.#receive(delivery),
      state: (state, detail) => this.#linkChanged(state, detail),
      fault: (detail) => this.#tell({ kind: "fault", detail: `${link.name}: ${detail}` }),
    });
    link.subscribe(controlsFilter(id)).catch((fault: unknown) => this.#tellFault(fault));
    this.#membership.want(true);
  }

  /**
   * Leaves: takes no more tasks, gives those under way `graceMs` to finish, hands the rest back with "stopping", and
   * closes the link. Resolves when all is done; further calls wait for the same end.
   */
  drain(graceMs: number): Promise<void> {
    this.#draining ??= this.#drain(graceMs);
    return this.#draining;
  }

  async #drain(graceMs: number): Promise<void> {
    this.#membership.want(false);
    this.#announceDraining();
    await settledWithin(graceMs, this.#ends);
    for (const run of this.#running.values()) {
      run.stop(new TaskFault("stopping", "the worker is being stopped", { retryable: true }));
    }
    await settledWithin(LAST_WORDS_MS, this.#ends);
    for (const run of this.#running.values()) run.abandon();
    await this.#options.link.close();
  }

  #announceDraining(): void {
    const { link, id } = this.#options;
    if (link.state !== "up") return;
    // Devices can do without it: every task that comes is declined.
    link.publish(workerPresence(id, "draining")).catch((fault: unknown) => this.#tellFault(fault));
  }

  #linkChanged(state: LinkState, detail: string): void {
    this.#options.metrics.linkUp.set(state === "up" ? 1 : 0);
    this.#tell({ kind: "link", state, detail });
    // The link has said "online" by itself.
    if (state === "up" && this.#draining) this.#announceDraining();
  }

  #receive(delivery: Delivery): void {
    const parsed = parseMessage(delivery.topic, delivery.payload, delivery.properties);
    if (!parsed.ok) {
      delivery.acknowledge();
      this.#refuse(parsed.refusal.reason, parsed.refusal.detail);
      return;
    }
    const { received } = parsed;
    if (received.channel === "requests") {
      this.#request(received, delivery);
      return;
    }
    delivery.acknowledge();
    if (received.channel === "controls") this.#control(received);
    else this.#refuse("wrong-channel", received.channel);
  }

  #control({ device, message }: ControlReceived): void {
    const run = this.#running.get(`${device}/${message.task}`);
    if (run?.request.attempt !== message.attempt) this.#refuse("unknown-execution", message.kind);
    else if (!run.control(message)) this.#refuse("out-of-turn", message.kind);
  }

  #request(received: RequestReceived, delivery: Delivery): void {
    const { device, message: request } = received;
    const key = `${device}/${request.task}`;
    const lower = this.#running.get(key);
    const isNew = this.#seen.add(`${key}/${request.attempt}`);
    if (!isNew || (lower && lower.request.attempt > request.attempt)) {
      delivery.acknowledge();
      this.#refuse("duplicate", "request");
      return;
    }
    if (lower) {
      lower.abandon();
      this.#running.delete(key);
    }
    if (this.#draining) this.#decline(received, delivery, "stopping");
    else if (this.#running.size >= this.#options.concurrency) this.#decline(received, delivery, "busy");
    else this.#take(key, received, delivery);
  }

  #take(key: string, received: RequestReceived, delivery: Delivery): void {
    const end = this.#execute(key, received).finally(() => {
      delivery.acknowledge();
      this.#ends.delete(end);
    });
    this.#ends.add(end);
    this.#steer();
  }

  async #execute(
    key: string,
    { device, message: request, expirySeconds, traceparent }: RequestReceived,
  ): Promise<void> {
    const { link, id, endpoint, leaseMs, deltaIntervalMs, metrics } = this.#options;
    const { task, attempt } = request;
    const startMs = performance.now();
    const elapsedSeconds = () => (performance.now() - startMs) / 1000;
    const timeMs = Math.min(request.deadlineMs, (expirySeconds ?? 0) * 1000);
    // A word before the deadline is worth more to the device than an answer on its stroke.
    const endsMs = startMs + timeMs - Math.min(1000, timeMs / 20);
    const replies = new ReplyStream({
      link,
      device,
      task,
      attempt,
      worker: id,
      controls: request.followUps.length,
      traceparent,
      endsMs,
      deltaIntervalMs,
      heartbeatMs: leaseMs / 4,
      onSent: (kind) => metrics.replies.inc({ kind }),
    });
    let begun = false;
    const run = new TaskRun({
      request,
      endpoint,
      replies,
      leaseMs,
      endsMs,
      onText: () => {
        if (!begun) metrics.firstTextSeconds.observe(elapsedSeconds());
        begun = true;
        this.#unauthorized = false;
      },
      onRetry: (fault, waitMs) => {
        metrics.endpointRetries.inc({ fault });
        this.#tell({ kind: "retry", fault, waitMs });
      },
    });
    this.#running.set(key, run);
    metrics.running.set(this.#running.size);
    this.#tell({ kind: "taken", device, task, attempt });
    const fault = await run.run();
    if (this.#running.get(key) === run) this.#running.delete(key);
    metrics.running.set(this.#running.size);
    if (fault?.cause instanceof EndpointError) this.#unauthorized = fault.cause.fault === "unauthorized";
    const outcome = fault?.code ?? "result";
    metrics.tasks.inc({ outcome });
    metrics.taskSeconds.observe(elapsedSeconds());
    const detail = describe(fault);
    this.#tell({ kind: "ended", device, task, attempt, outcome, ms: elapsedSeconds() * 1000, detail });
    this.#steer();
  }

  /** Hands a task back. Said once: a device that misses it finds out by the silence. */
  #decline(received: RequestReceived, delivery: Delivery, code: "busy" | "stopping"): void {
    const { device, message: request, traceparent } = received;
    const { task, attempt } = request;
    const { link, id: worker, metrics } = this.#options;
    const head = {
      task,
      attempt,
      worker,
      seq: 1,
      controls: 0,
      validSeconds: Math.ceil(request.deadlineMs / 1000),
    };
    const message = code === "busy" ? "all hands are full" : "the worker is being stopped";
    const reply = encodeReply(device, head, { kind: "error", code, retryable: true, message }, traceparent);
    metrics.tasks.inc({ outcome: code });
    this.#tell({ kind: "declined", device, task, attempt, code });
    link
      .publish(reply)
      .catch(() => this.#refuse("undelivered", code))
      .finally(() => delivery.acknowledge());
  }

  /** A full worker leaves the group, so that the broker gives to those that have room, and says when nobody has. */
  #steer(): void {
    this.#membership.want(!this.#draining && this.#running.size < this.#options.concurrency);
  }

  #refuse(reason: string, detail: string): void {
    this.#options.metrics.refused.inc({ reason });
    this.#tell({ kind: "refused", reason, detail });
  }

  #tellFault(fault: unknown): void {
    this.#tell({ kind: "fault", detail: messageOf(fault) });
  }

  #tell(event: WorkerEvent): void {
    this.#options.onEvent?.(event);
  }
}

/** What the operator reads: more than the device, which can mend nothing here. */
function describe(fault: TaskFault | null): string {
  if (fault === null) return "";
  if (fault.cause instanceof EndpointError) return fault.cause.message;
  if (fault.code !== "internal" || !(fault.cause instanceof Error)) return fault.message;
  return `${fault.message}: ${fault.cause.stack ?? fault.cause.message}`;
}

/** Resolves when all have settled, or after `ms`. */
async function settledWithin(ms: number, work: Iterable<Promise<void>>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([Promise.allSettled(work), limit]);
  clearTimeout(timer);
}
