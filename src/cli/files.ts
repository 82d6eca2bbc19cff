import { readFile } from "node:fs/promises";
import { RuntimeError } from "../core/errors.ts";

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
