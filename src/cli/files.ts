import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { RuntimeError } from "../core/errors.ts";
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

/**
 * A certificate, a key or the authorities of one side of a TLS connection, where a path was given.
 * @param part names the option or the key of the profile, for messages.
 * @throws RuntimeError "invalid-configuration" if the file cannot be read or is not PEM (RFC 7468).
 */
export async function pemFile(part: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  let data: Buffer;
  try {
    data = await readFile(path);
  } catch (cause) {
    throw new RuntimeError("invalid-configuration", { part, problem: `${path} cannot be read`, cause });
  }
  if (data.includes("-----BEGIN ")) return data;
  throw new RuntimeError("invalid-configuration", { part, problem: `${path} is not PEM` });
}
