import { type ErrorCode, messageOf, RuntimeError } from "../../src/core/errors.ts";

/** An error on its way between threads, where classes do not survive. */
export interface WireFault {
  code: ErrorCode;
  part: string;
  /** The whole message, its part included. */
  message: string;
  stack: string | undefined;
}

export function toWire(error: unknown): WireFault {
  if (error instanceof RuntimeError) {
    return { code: error.code, part: error.part, message: error.message, stack: error.stack };
  }
  const message = messageOf(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return { code: "internal", part: "gpu worker", message: `gpu worker: ${message}`, stack };
}

/** The error that was sent, its stack in the worker as its cause. */
export function fromWire({ code, part, message, stack }: WireFault): RuntimeError {
  const problem = message.startsWith(`${part}: `) ? message.slice(part.length + 2) : message;
  return new RuntimeError(code, { part, problem, cause: stack });
}
