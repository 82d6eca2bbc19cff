import type { Clock } from "../../core/clock.ts";
import { messageOf, RuntimeError } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import { REASONER_DEVICE, type SessionSnapshot } from "../../core/reasoner.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { ContextSnapshot } from "../protocol/context.ts";
import { Journal, type JournalEntry, type LeftTask } from "./journal.ts";
import { contextOf, type EncodeStill } from "./snapshot.ts";
import type { DeviceTask } from "./task.ts";

export interface TaskStoreOptions {
  outbox: Outbox;
  deadlineMs: number;
  encodeStill: EncodeStill | null;
  log: Log;
}

/** What a client keeps on disk, and what it has to do slowly: one piece of work after the other, beside the session. */
export class TaskStore {
  /** Entries that could not be written: what they say would not survive a crash. */
  unsaved = 0;
  readonly #options: TaskStoreOptions;
  readonly #journal: Journal;
  #clock: Clock | null = null;
  #work: Promise<void> = Promise.resolve();

  constructor(options: TaskStoreOptions) {
    this.#options = options;
    this.#journal = new Journal(options.outbox);
  }

  /** Reads what an earlier session left open. @param resume is called for each task, oldest first. */
  open(clock: Clock, resume: (left: LeftTask) => void): void {
    this.#clock = clock;
    this.#inOrder(async () => {
      for (const left of await this.#journal.load()) resume(left);
      const { unreadable } = this.#journal;
      if (unreadable > 0) this.#warn(`outbox: ${unreadable} entries cannot be read`);
    });
  }

  /** Saves a new task with its context. @param ready is called when it may be sent. */
  add(task: DeviceTask, snapshot: SessionSnapshot, ready: (context: ContextSnapshot) => void): void {
    this.#inOrder(async () => {
      const context = await this.#context(snapshot);
      const { id, text } = task;
      await this.#save({ kind: "task", task: id, text, deadlineMs: this.#options.deadlineMs, context });
      ready(context);
    });
  }

  save(entry: JournalEntry): void {
    this.#inOrder(() => this.#save(entry));
  }

  /** The task is final. */
  forget({ id }: DeviceTask): void {
    this.#inOrder(async () => this.#journal.forget(id));
  }

  /** Resolves when all is done that was asked for. */
  async close(): Promise<void> {
    await this.#work;
    await this.#options.outbox.close();
  }

  /** In virtual time it takes no time. */
  #inOrder(work: () => Promise<void>): void {
    const before = this.#work;
    const run = async () => {
      await before;
      try {
        await work();
      } catch (fault) {
        this.#warn(messageOf(fault));
      }
    };
    this.#work = this.#clock?.during(run()) ?? run();
  }

  async #context(snapshot: SessionSnapshot): Promise<ContextSnapshot> {
    try {
      return await contextOf(snapshot, this.#options.encodeStill);
    } catch (fault) {
      this.#warn(`no pictures go with a task: ${messageOf(fault)}`);
      return await contextOf(snapshot, null);
    }
  }

  async #save(entry: JournalEntry): Promise<void> {
    try {
      await this.#journal.write(entry);
    } catch (fault) {
      if (!(fault instanceof RuntimeError)) throw fault;
      // A task goes its way without; it would only be lost with the process.
      if (this.unsaved++ === 0) this.#warn(fault.message);
    }
  }

  #warn(message: string): void {
    this.#options.log.write("warning", REASONER_DEVICE, message);
  }
}
