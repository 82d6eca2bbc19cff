import { RuntimeError } from "../core/errors.ts";
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

/** What a failed write means for the person who asked for it. */
export function outputFailed(part: string, cause: NodeJS.ErrnoException): RuntimeError {
  const remedies: Record<string, string> = {
    ENOSPC: "The disk is full: free some space or write elsewhere",
    EDQUOT: "The disk quota is used up: free some space or write elsewhere",
    EACCES: "Choose a folder that you may write to",
    EROFS: "Choose a folder that you may write to",
  };
  const remedy = remedies[cause.code ?? ""];
  return new RuntimeError("output-failed", {
    part,
    problem: `could not be written: ${cause.message}`,
    ...(remedy ? { remedy } : {}),
    cause,
  });
}
