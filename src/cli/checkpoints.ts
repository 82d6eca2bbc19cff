import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { RuntimeError } from "../core/errors.ts";
import { lockedFilesSchema } from "../hub/locked-files.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const SHIPPED_MODEL = join(ROOT, "models/native/shipped");
export const LOCK_PATH = join(ROOT, "models/model-lock.json");

/** How --model names a checkpoint of the Moshi family: moshi:FOLDER. */
const MOSHI = "moshi:";

/** The folder of a checkpoint of the Moshi family; null for one of another. */
export function moshiFolder(asked: string | undefined): string | null {
  return asked?.startsWith(MOSHI) ? asked.slice(MOSHI.length) : null;
}

/** Folder below the project's root -> its files. */
const lockSchema = z.record(z.string(), lockedFilesSchema);
export type ModelLock = z.infer<typeof lockSchema>;

export interface FileCheck {
  file: string;
  state: "right" | "missing" | "other size" | "other content";
}

/** The sizes and digests of the checkpoints that ship. */
export async function readLock(path = LOCK_PATH): Promise<ModelLock> {
  try {
    return lockSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "model lock",
      problem: `${path} cannot be read`,
      remedy: "Restore it with git checkout models/model-lock.json",
      cause,
    });
  }
}

/** Lower-case hexadecimal SHA-256 of a file, read as a stream. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

/** Compares a folder with what the lock says about it: sizes first, then contents. */
export async function verifyFolder(directory: string, lock: ModelLock[string]): Promise<FileCheck[]> {
  const checks: FileCheck[] = [];
  for (const [file, expected] of Object.entries(lock)) {
    const path = join(directory, file);
    const size = await stat(path).then(
      (info) => info.size,
      () => null,
    );
    let state: FileCheck["state"] = "right";
    if (size === null) state = "missing";
    else if (size !== expected.sizeBytes) state = "other size";
    else if ((await sha256Of(path)) !== expected.sha256) state = "other content";
    checks.push({ file, state });
  }
  return checks;
}

/** What the lock would say about a folder: its files as they are now, hidden ones left out. */
export async function lockFolder(directory: string): Promise<ModelLock[string]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map(({ name }) => name);
  return digestsOf(directory, files.sort());
}

/** Sizes and digests of a folder's files of these names. */
export async function digestsOf(directory: string, files: readonly string[]): Promise<ModelLock[string]> {
  const digests: ModelLock[string] = {};
  for (const file of files) {
    const path = join(directory, file);
    digests[file] = { sizeBytes: (await stat(path)).size, sha256: await sha256Of(path) };
  }
  return digests;
}

/** A folder's name in the lock: relative to the project's root, forward slashes. */
export function lockName(directory: string): string {
  return relative(ROOT, resolve(directory)).replaceAll("\\", "/");
}

/**
 * The folder to load: the one asked for, or the shipped one.
 * @throws RuntimeError "invalid-checkpoint" if it does not exist, or is one of the lock's and differs from it.
 */
export async function checkpointFolder(asked: string | undefined): Promise<string> {
  const directory = resolve(asked ?? SHIPPED_MODEL);
  const isFolder = await stat(directory).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "checkpoint",
      problem: `there is no folder ${directory}`,
      remedy: "Give --model a folder with config.json, model.safetensors and tokenizer.json",
    });
  }
  const locked = (await readLock())[lockName(directory)];
  const wrong = locked
    ? (await verifyFolder(directory, locked)).filter(({ state }) => state !== "right")
    : [];
  if (wrong.length > 0) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "checkpoint",
      problem: `${lockName(directory)} is not what was shipped: ${wrong.map(({ file, state }) => `${file} (${state})`).join(", ")}`,
      remedy: "Restore it with git, or copy your own checkpoint to another folder and name it with --model",
    });
  }
  return directory;
}
