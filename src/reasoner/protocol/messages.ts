import { z } from "zod";
import { contextSchema, followUpSchema } from "./context.ts";
import { attempt, id, integer, ordinal, text, validSeconds, version } from "./fields.ts";
import { LIMITS } from "./limits.ts";

const { chars, entries } = LIMITS;

/** Device to any worker: one attempt at a task. */
export const requestSchema = z
  .strictObject({
    v: version,
    kind: z.literal("request"),
    /** Never used twice by a device. */
    task: id,
    /** 1, then one more each time the device gives the task to a worker anew. */
    attempt,
    text: text(chars.task),
    /** Time that is left from now, ms. The worker subtracts what the broker says it waited. */
    deadlineMs: integer(LIMITS.deadlineMs.min, LIMITS.deadlineMs.max),
    context: contextSchema,
    /** All that the person has added so far, for a worker that starts anew: control 1, 2, 3, ... */
    followUps: z.array(followUpSchema).max(entries.followUps),
  })
  .refine((request) => request.followUps.every((item, index) => item.control === index + 1), {
    path: ["followUps"],
    message: "are not numbered 1, 2, 3",
  });
export type Request = z.infer<typeof requestSchema>;

const controlBase = { v: version, task: id, attempt, validSeconds };
const controlNumber = integer(1, entries.followUps);

/** Device to the one worker that runs the task. */
export const controlSchema = z.discriminatedUnion("kind", [
  /** A correction or an addition. */
  z.strictObject({
    ...controlBase,
    kind: z.literal("amend"),
    control: controlNumber,
    text: text(chars.amend),
  }),
  /** The person's answer to the question `ask`. */
  z.strictObject({
    ...controlBase,
    kind: z.literal("answer"),
    control: controlNumber,
    ask: id,
    question: text(chars.ask),
    text: text(chars.answer),
  }),
  /** Stop this attempt: dropped by the person, replaced by another attempt, or past its deadline. */
  z.strictObject({
    ...controlBase,
    kind: z.literal("cancel"),
    reason: z.enum(["dropped", "superseded", "expired"]),
  }),
]);
export type Control = z.infer<typeof controlSchema>;

const replyBase = {
  v: version,
  task: id,
  attempt,
  worker: id,
  /** 1 for `accepted`, then one more each: a receiver drops what it has seen, and counts what is missing. */
  seq: ordinal,
  /** Number of the last amend or answer that the worker has taken in; 0 for none. */
  controls: integer(0, entries.followUps),
  validSeconds,
};

/** Why a worker gave up. */
export const TASK_ERRORS = [
  "busy",
  "stopping",
  "endpoint",
  "refused",
  "deadline",
  "cancelled",
  "invalid-request",
  "internal",
] as const;

/** Worker to device. `result` and `error` are final: nothing of the attempt follows. */
export const replySchema = z.discriminatedUnion("kind", [
  z.strictObject({
    ...replyBase,
    kind: z.literal("accepted"),
    /** The worker sends something at least three times in this time, or may be taken for dead, ms. */
    leaseMs: integer(LIMITS.leaseMs.min, LIMITS.leaseMs.max),
  }),
  /** A sign of life, with or without a word on what is being done. */
  z.strictObject({ ...replyBase, kind: z.literal("progress"), text: text(chars.progress).optional() }),
  /** A piece of the result as it grows; `offset` is its place in the whole, in UTF-16 code units. */
  z.strictObject({
    ...replyBase,
    kind: z.literal("delta"),
    offset: integer(0, chars.result),
    text: text(chars.delta),
  }),
  /** A question to the person; repeated with the same `ask` until it is answered. */
  z.strictObject({ ...replyBase, kind: z.literal("ask"), ask: id, text: text(chars.ask) }),
  /** The whole result: a device that missed deltas has lost nothing. */
  z.strictObject({ ...replyBase, kind: z.literal("result"), text: text(chars.result) }),
  z.strictObject({
    ...replyBase,
    kind: z.literal("error"),
    code: z.enum(TASK_ERRORS),
    /** True if another attempt may succeed. */
    retryable: z.boolean(),
    message: text(chars.errorMessage),
  }),
]);
export type Reply = z.infer<typeof replySchema>;
export type TaskError = (typeof TASK_ERRORS)[number];

/** Whether a device or a worker is there: retained, and left as last will. A worker that drains takes no more tasks. */
export const presenceSchema = z.strictObject({
  v: version,
  kind: z.literal("presence"),
  state: z.enum(["online", "draining", "offline"]),
});
export type Presence = z.infer<typeof presenceSchema>;

/** How a device is doing, for dashboards: numbers and states only, never what was said. Retained. */
export const deviceStateSchema = z.strictObject({
  v: version,
  kind: z.literal("state"),
  session: z.enum(["idle", "running"]),
  tasksWaiting: integer(0, LIMITS.count),
  tasksRunning: integer(0, LIMITS.count),
  lateMicroTurns: integer(0, LIMITS.count),
});
export type DeviceState = z.infer<typeof deviceStateSchema>;
