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
