import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { RuntimeError } from "./errors.ts";

/**
 * Writes a file whole or not at all: beside its place first, then moved there. Missing folders are made.
 * @throws RuntimeError "output-failed"; nothing half-written stays.
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(part, text);
    await rename(part, path);
  } catch (cause) {
    await rm(part, { force: true }).catch(() => {
      // The folder itself is out of reach; the first fault says so.
    });
    throw outputFailed(path, cause as NodeJS.ErrnoException);
  }
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
