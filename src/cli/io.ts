import type { RuntimeError } from "../core/errors.ts";
import { outputFailed } from "../core/output.ts";
import type { Io } from "./command.ts";

export interface ProcessIo extends Io {
  /** Waits until everything is written; the fault that kept something from it, or null. */
  settle(): Promise<RuntimeError | null>;
}

/** The process's own streams. A closed pipe (`microturn ... | head`) ends the session; a full disk is an error. */
export function processIo(): ProcessIo {
  const abort = new AbortController();
  let failure: RuntimeError | null = null;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => abort.abort(new Error(signal)));
  }
  process.stdout.on("error", (cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EPIPE") failure ??= outputFailed("standard output", cause);
    abort.abort(cause);
  });
  return {
    out(text) {
      if (!process.stdout.destroyed) process.stdout.write(text);
    },
    err(text) {
      process.stderr.write(text);
    },
    isTerminal: process.stdout.isTTY === true,
    get columns() {
      return process.stdout.columns ?? 80;
    },
    signal: abort.signal,
    async settle() {
      if (!process.stdout.destroyed) await new Promise((resolve) => process.stdout.write("", resolve));
      // The stream tells of an error one turn after it called back.
      await new Promise(setImmediate);
      return failure;
    },
  };
}
