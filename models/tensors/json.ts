import type { z } from "zod";
import { RuntimeError } from "../../src/core/errors.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";

/**
 * The value that UTF-8 bytes of JSON stand for, unchecked.
 *
 * @param what Begins the message: "its header".
 * @throws RuntimeError "invalid-checkpoint".
 */
export function parseJson(bytes: Uint8Array, source: string, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidCheckpoint(source, `${what} is not JSON`, cause);
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws what is wrong with one file of a checkpoint. */
export type Fail = (problem: string, cause?: unknown) => never;

/** Names the part and the file in every fault. */
export function failFor(part: string, source: string): Fail {
  return (problem, cause) => {
    throw new RuntimeError("invalid-checkpoint", { part, problem: `${source}: ${problem}`, cause });
  };
}

/** The value of JSON text, as it is. */
export function jsonOf(json: string, fail: Fail): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    return fail("is not JSON", cause);
  }
}

/** `value` as the schema has it; else the first fault, with the field that it is in. */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  fail: Fail,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  return fail(`${issue.path.map(String).join(".") || "the document"}: ${issue.message}`, parsed.error);
}
