import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { outputFailed } from "./io.ts";

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
