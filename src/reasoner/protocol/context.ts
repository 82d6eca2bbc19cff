import { z } from "zod";
import { id, integer, sessionMs, text } from "./fields.ts";
import { LIMITS } from "./limits.ts";

const { chars, entries } = LIMITS;

const transcriptEntrySchema = z.strictObject({
  by: z.enum(["person", "device", "reasoner"]),
  /** Session time at which it was typed, began to sound, or came in, ms. */
  timeMs: sessionMs,
  text: text(chars.transcriptEntry),
  /** False for words that the device meant to say and a flush kept from sounding. */
  heard: z.boolean(),
});

const stillSchema = z.strictObject({
  captureMs: sessionMs,
  width: integer(1, 8192),
  height: integer(1, 8192),
  jpeg: z.base64().max(LIMITS.stillChars),
});

/** What the reasoner is told of the session: bounded, with a version of its own, and stills only where policy allows. */
export const contextSchema = z.strictObject({
  v: z.literal(1),
  /** Session time when the task was given, ms. */
  elapsedMs: sessionMs,
  /** Oldest first. */
  transcript: z.array(transcriptEntrySchema).max(entries.transcript),
  counts: z
    .array(
      z.strictObject({ name: text(chars.label), value: z.number().min(-LIMITS.count).max(LIMITS.count) }),
    )
    .max(entries.counts),
  devices: z
    .array(z.strictObject({ device: text(chars.label), state: z.enum(["ready", "lost", "ended"]) }))
    .max(entries.devices),
  stills: z.array(stillSchema).max(entries.stills),
});

/** @see contextSchema */
export type ContextSnapshot = z.infer<typeof contextSchema>;
export type TranscriptEntry = z.infer<typeof transcriptEntrySchema>;

/** What the person added while the task ran. `control` numbers them over all attempts, from 1, without a gap. */
export const followUpSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("amend"),
    control: integer(1, entries.followUps),
    text: text(chars.amend),
  }),
  z.strictObject({
    kind: z.literal("answer"),
    control: integer(1, entries.followUps),
    ask: id,
    /** The question, so that a worker that did not ask it understands the answer. */
    question: text(chars.ask),
    text: text(chars.answer),
  }),
]);
export type FollowUp = z.infer<typeof followUpSchema>;
