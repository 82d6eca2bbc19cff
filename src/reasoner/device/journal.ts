import { z } from "zod";
import type { Outbox } from "../outbox/outbox.ts";
import { contextSchema, type FollowUp, followUpSchema } from "../protocol/context.ts";
import { attempt, id, integer, text } from "../protocol/fields.ts";
import { LIMITS } from "../protocol/limits.ts";

/** What the outbox holds of a task. The disk is outside: what is read is checked like what comes over the network. */
const entrySchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("task"),
    task: id,
    text: text(LIMITS.chars.task),
    deadlineMs: integer(LIMITS.deadlineMs.min, LIMITS.deadlineMs.max),
    context: contextSchema,
  }),
  z.strictObject({ kind: z.literal("follow-up"), task: id, followUp: followUpSchema }),
  z.strictObject({ kind: z.literal("attempt"), task: id, attempt }),
]);
export type JournalEntry = z.infer<typeof entrySchema>;
export type TaskEntry = Extract<JournalEntry, { kind: "task" }>;

/** A task that an earlier session left open. */
export interface LeftTask extends TaskEntry {
  followUps: FollowUp[];
  /** The last that was begun. */
  attempt: number;
  /** Since it was given, ms. */
  ageMs: number;
}

/** Keeps open tasks in the outbox: all that belongs to one goes when it is final. */
export class Journal {
  /** Entries that an earlier session left and that are none. */
  unreadable = 0;
  readonly #outbox: Outbox;
  readonly #records = new Map<string, number[]>();

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** What was left open, oldest first. Call it once, before anything is written. */
  async load(): Promise<LeftTask[]> {
    const tasks = new Map<string, LeftTask>();
    for (let record = await this.#outbox.next(); record; record = await this.#outbox.next(record.id)) {
      const entry = parseEntry(record.payload);
      const task = entry && tasks.get(entry.task);
      if (entry?.kind === "task" && !task) {
        tasks.set(entry.task, { ...entry, followUps: [], attempt: 1, ageMs: record.ageMs });
      } else if (entry?.kind === "follow-up" && task?.followUps.length === entry.followUp.control - 1) {
        task.followUps.push(entry.followUp);
      } else if (entry?.kind === "attempt" && task) {
        task.attempt = Math.max(task.attempt, entry.attempt);
      } else {
        this.unreadable++;
        this.#outbox.acknowledge(record.id);
        continue;
      }
      this.#note(entry.task, record.id);
    }
    return [...tasks.values()];
  }

  /** @throws RuntimeError "queue-full" or "output-failed": then the entry would not survive a crash. */
  async write(entry: JournalEntry): Promise<void> {
    const record = await this.#outbox.append(Buffer.from(JSON.stringify(entry)));
    this.#note(entry.task, record);
  }

  /** The task is final. */
  forget(task: string): void {
    for (const record of this.#records.get(task) ?? []) this.#outbox.acknowledge(record);
    this.#records.delete(task);
  }

  #note(task: string, record: number): void {
    const records = this.#records.get(task);
    if (records) records.push(record);
    else this.#records.set(task, [record]);
  }
}

function parseEntry(payload: Buffer): JournalEntry | null {
  try {
    return entrySchema.parse(JSON.parse(payload.toString()));
  } catch {
    return null;
  }
}
