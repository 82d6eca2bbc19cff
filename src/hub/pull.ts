import { mkdir, readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RuntimeError } from "../core/errors.ts";
import { writeWhole } from "../core/output.ts";
import { download } from "./download.ts";
import type { Hub } from "./hub.ts";
import { lockedFilesSchema } from "./locked-files.ts";
import { readSnapshot, type Snapshot } from "./snapshot.ts";

/** Beside the files: which commit they are of, and their digests. */
export const PULL_LOCK = "microturn-lock.json";

const pullLockSchema = z.strictObject({
  repository: z.string(),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  licence: z.string().nullable(),
  files: lockedFilesSchema,
});
export type PullLock = z.infer<typeof pullLockSchema>;

export interface PullOptions {
  /** OWNER/NAME. */
  repository: string;
  /** Branch, tag or commit. Default: the commit that the folder is locked to, else "main". */
  revision?: string | undefined;
  /** Made if absent. */
  folder: string;
  signal: AbortSignal;
  /** Told what is coming before the first byte of it is asked for. */
  begins?: (snapshot: Snapshot) => void;
  progress?: (file: string, doneBytes: number, sizeBytes: number) => void;
}

/**
 * Brings a repository's files into a folder and locks it to their commit and digests. What is there and right stays;
 * what an interrupted pull has left is gone on from.
 * @throws RuntimeError, as `readSnapshot` and `download` do; "output-failed" if the disk has too little room.
 */
export async function pull(hub: Hub, options: PullOptions): Promise<PullLock> {
  const { repository, folder, signal, begins = () => {}, progress = () => {} } = options;
  const held = await readPullLock(folder);
  if (held && held.repository !== repository) {
    throw new RuntimeError("invalid-argument", {
      part: "models pull",
      problem: `${folder} holds ${held.repository}`,
      remedy: "Choose another folder with --to",
    });
  }
  const revision = options.revision ?? held?.commit ?? "main";
  const snapshot = await readSnapshot(hub, { repository, revision, signal });
  // What the hub keeps for itself, and a name that is the lock's own.
  const wanted = snapshot.files.filter(({ path }) => !/(^|\/)\.git[^/]*$/.test(path) && path !== PULL_LOCK);
  begins({ ...snapshot, files: wanted });
  await expectRoom(folder, wanted, held);
  const files: PullLock["files"] = {};
  for (const file of wanted) {
    const { path, sizeBytes } = file;
    const report = (doneBytes: number) => progress(path, doneBytes, sizeBytes);
    const sha256 = await download(hub, snapshot, file, { folder, signal, progress: report });
    report(sizeBytes);
    files[path] = { sizeBytes, sha256 };
  }
  const { commit, licence } = snapshot;
  const lock = { repository, commit, licence, files };
  await writeWhole(join(folder, PULL_LOCK), `${JSON.stringify(lock, null, 2)}\n`);
  return lock;
}

/**
 * What a folder is locked to; null if it has no lock.
 * @throws RuntimeError "invalid-checkpoint" if its lock is none.
 */
export async function readPullLock(folder: string): Promise<PullLock | null> {
  const path = join(folder, PULL_LOCK);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return null;
    throw invalidLock(path, cause);
  }
  try {
    return pullLockSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw invalidLock(path, cause);
  }
}

function invalidLock(path: string, cause: unknown): RuntimeError {
  return new RuntimeError("invalid-checkpoint", {
    part: "models pull",
    problem: `${path} cannot be read`,
    remedy: "Remove it and pull again: files that are right stay",
    cause,
  });
}

/** Makes the folder, and refuses before a download of hours what its disk cannot take. */
async function expectRoom(folder: string, wanted: Snapshot["files"], held: PullLock | null): Promise<void> {
  let freeBytes: number;
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    freeBytes = bavail * bsize;
  } catch (cause) {
    throw new RuntimeError("output-failed", {
      part: "models pull",
      problem: `${folder} cannot be made`,
      remedy: "Choose another folder with --to",
      cause,
    });
  }
  const neededBytes = wanted
    .filter(({ path }) => held?.files[path] === undefined)
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (freeBytes >= neededBytes) return;
  throw new RuntimeError("output-failed", {
    part: "models pull",
    problem: `${folder} has ${megabytes(freeBytes)} left, the files take ${megabytes(neededBytes)}`,
    remedy: "Make room or choose another folder with --to",
  });
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
