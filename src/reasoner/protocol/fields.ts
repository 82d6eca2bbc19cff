import { z } from "zod";
import { LIMITS, PROTOCOL_VERSION } from "./limits.ts";

/** Characters that no text may hold: controls other than tab and line ends (they would steer a terminal), and halves of a surrogate pair. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNPRINTABLE = /[\p{Surrogate}\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same set, without the state of a global expression
const HAS_UNPRINTABLE = /[\p{Surrogate}\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/u;

/** Makes any string a text that the protocol takes: unprintable characters go, and so does what exceeds `maxChars`. */
export function cleanText(text: string, maxChars: number): string {
  const clean = text.replace(UNPRINTABLE, "");
  if (clean.length <= maxChars) return clean;
  // A cut between the halves of a surrogate pair would leave one of them.
  return clean.slice(0, maxChars).replace(/\p{Surrogate}$/u, "");
}

/** A text of at least one and at most `maxChars` characters. */
export function text(maxChars: number) {
  return z
    .string()
    .min(1)
    .max(maxChars)
    .refine((value) => !HAS_UNPRINTABLE.test(value), { message: "holds an unprintable character" });
}

export function integer(min: number, max: number) {
  return z.number().int().min(min).max(max);
}

/** A device, worker or task: it may stand as one level of a topic. */
export const id = z.string().regex(new RegExp(`^[A-Za-z0-9_-]{1,${LIMITS.idChars}}$`));

/** A position in a sequence that begins with 1. */
export const ordinal = integer(1, LIMITS.count);

export const version = z.literal(PROTOCOL_VERSION);
export const attempt = integer(1, LIMITS.attempts);
export const validSeconds = integer(LIMITS.validSeconds.min, LIMITS.validSeconds.max);
/** Session time, ms. */
export const sessionMs = z.number().min(0).max(LIMITS.count);
