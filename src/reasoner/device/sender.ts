import { RuntimeError } from "../../core/errors.ts";
import type { Link } from "../link/link.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Control } from "../protocol/messages.ts";
import { encodeMessage, type WireMessage } from "../protocol/wire.ts";
import type { Execution, StopReason } from "./open-tasks.ts";
import type { DeviceTask } from "./task.ts";

/** Cancels that may wait for the link; beyond it the oldest goes: its worker is told again when it is heard of. */
const MAX_CANCELS = 64;
/** A cancel is worth keeping this long for a worker that is away, s. */
const CANCEL_SECONDS = 60;

/** Whom the sender asks what to send, and tells what became of it. Must not throw. */
export interface SenderClient {
  nowMs(): number;
  /** A task of which the request or a control is to be sent, or null. */
  next(): DeviceTask | null;
  /** It cannot be sent, now or ever. */
  impossible(task: DeviceTask, why: string): void;
  /** The broker says that no reasoner is there. */
  nobodyThere(task: DeviceTask): void;
  /** A task has another due time. */
  changed(): void;
}

/** Publishes for a device, one message after the other, in order. Nothing is sent while the link is down. */
export class Sender {
  /** Cancels that did not fit or that the link refused. */
  droppedCancels = 0;
  readonly #link: Link;
  readonly #device: string;
  readonly #client: SenderClient;
  #cancels: { execution: Execution; reason: StopReason }[] = [];
  #running = false;

  constructor(link: Link, device: string, client: SenderClient) {
    this.#link = link;
    this.#device = device;
    this.#client = client;
  }

  /** Looks for something to send. */
  wake(): void {
    if (this.#running || this.#link.state !== "up") return;
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
    });
  }

  cancel(execution: Execution, reason: StopReason): void {
    this.#cancels.push({ execution, reason });
    if (this.#cancels.length > MAX_CANCELS) {
      this.#cancels.shift();
      this.droppedCancels++;
    }
    this.wake();
  }

  async #run(): Promise<void> {
    // In a turn of its own: whoever woke us first finishes what it does.
    await Promise.resolve();
    while (this.#link.state === "up") {
      if (this.#cancels.length > 0) {
        await this.#sendCancel(this.#cancels.shift()!);
      } else {
        const task = this.#client.next();
        if (!task) return;
        if (task.phase.name === "due") await this.#sendRequest(task);
        else await this.#sendControl(task);
        this.#client.changed();
      }
    }
  }

  async #sendRequest(task: DeviceTask): Promise<void> {
    const message = this.#encodeRequest(task);
    if (!message) return;
    const { attempt } = task;
    task.offered(this.#client.nowMs());
    const outcome = await this.#publish(message);
    // An answer may have come before the broker's word.
    if (task.attempt !== attempt || task.phase.name !== "offered") return;
    if (outcome === "refused") this.#client.impossible(task, "the broker refuses it");
    // After a time-out it may be on its way: whether it is accepted will show.
    else if (outcome === "not-sent" || outcome === "nobody-there") {
      task.offerLater(this.#client.nowMs());
      if (outcome === "nobody-there") this.#client.nobodyThere(task);
    }
  }

  /** The request, without its pictures if it would be too large with them. */
  #encodeRequest(task: DeviceTask): WireMessage | null {
    const context = task.context!;
    for (const stills of [context.stills, []]) {
      try {
        const request = task.request(this.#client.nowMs(), { ...context, stills });
        return encodeMessage({ channel: "requests", device: this.#device }, request, task.traceparent);
      } catch (fault) {
        if (stills.length > 0) continue;
        this.#client.impossible(task, "it is too large to be sent");
        if (!(fault instanceof RuntimeError)) throw fault;
        return null;
      }
    }
    return null;
  }

  async #sendControl(task: DeviceTask): Promise<void> {
    const followUp = task.nextControl()!;
    const nowMs = this.#client.nowMs();
    const validSeconds = Math.min(
      LIMITS.validSeconds.max,
      Math.max(1, Math.ceil((task.dueMs - nowMs) / 1000)),
    );
    const { id, attempt, traceparent } = task;
    const control: Control = { v: 1, task: id, attempt, validSeconds, ...followUp };
    const address = { channel: "controls", worker: task.worker!, device: this.#device } as const;
    task.controlSent(nowMs);
    // One that is lost is not confirmed, and sent again.
    await this.#publish(encodeMessage(address, control, traceparent));
  }

  async #sendCancel({ execution, reason }: { execution: Execution; reason: StopReason }): Promise<void> {
    const { task, attempt, worker } = execution;
    const address = { channel: "controls", worker, device: this.#device } as const;
    const control: Control = { v: 1, kind: "cancel", task, attempt, validSeconds: CANCEL_SECONDS, reason };
    if ((await this.#publish(encodeMessage(address, control))) === "refused") this.droppedCancels++;
  }

  async #publish(
    message: WireMessage,
  ): Promise<"sent" | "nobody-there" | "not-sent" | "unknown" | "refused"> {
    try {
      const { matched } = await this.#link.publish(message);
      return matched ? "sent" : "nobody-there";
    } catch (fault) {
      if (!(fault instanceof RuntimeError)) throw fault;
      switch (fault.code) {
        case "link-down":
        case "link-busy":
          return "not-sent";
        case "link-timeout":
          return "unknown";
        default:
          return "refused";
      }
    }
  }
}
