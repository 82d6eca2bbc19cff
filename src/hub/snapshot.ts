import { z } from "zod";
import { RuntimeError } from "../core/errors.ts";
import type { Hub } from "./hub.ts";

/** One file of a repository, as the hub describes it. */
export interface HubFile {
  /** Relative, with forward slashes; never leaves its folder. */
  path: string;
  sizeBytes: number;
  /** Lower-case hexadecimal SHA-256; null for a small file, of which the hub knows the git object alone. */
  sha256: string | null;
  /** SHA-1 of the git object "blob SIZE\0" + content, for a small file. */
  gitSha1: string | null;
}

/** What a repository holds at one commit. */
export interface Snapshot {
  repository: string;
  commit: string;
  /** SPDX-like identifier of the model card, "cc-by-4.0"; null if the card names none. */
  licence: string | null;
  files: HubFile[];
}

/** Bytes of metadata at most: a repository of ten thousand files is far below. */
const MAX_METADATA_BYTES = 16 * 2 ** 20;
const REPOSITORY = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;
const REVISION = /^[\w./-]{1,200}$/;

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const size = z.int().min(0);
const infoSchema = z.object({
  sha: hex(40),
  cardData: z.object({ license: z.union([z.string(), z.array(z.string())]).nullish() }).nullish(),
  siblings: z
    .array(
      z.object({
        rfilename: z.string().min(1).max(1024),
        size: size.nullish(),
        blobId: hex(40).nullish(),
        lfs: z.object({ sha256: hex(64), size }).nullish(),
      }),
    )
    .max(100_000),
});

/**
 * Reads what a repository holds at a revision: a branch, a tag or a commit.
 * @throws RuntimeError "invalid-argument" for a name that cannot be one, "endpoint-failed" for an answer that is not the API's,
 *         and what `Hub.get` throws.
 */
export async function readSnapshot(
  hub: Hub,
  { repository, revision, signal }: { repository: string; revision: string; signal: AbortSignal },
): Promise<Snapshot> {
  if (!REPOSITORY.test(repository) || repository.split("/").some((name) => /^\.+$/.test(name))) {
    throw invalid(`'${repository}' is not OWNER/NAME`);
  }
  if (!REVISION.test(revision) || revision.includes("..")) {
    throw invalid(`'${revision}' is not a branch, tag or commit`);
  }
  const path = `api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const text = await hub.get(path, boundedText, { signal });
  const parsed = infoSchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    const { message, path: at } = parsed.error.issues[0]!;
    throw unfit(
      `${hub.endpoint} describes ${repository} in another way than its API does: ${at.join(".")} ${message}`,
    );
  }
  const { sha: commit, cardData, siblings } = parsed.data;
  const licence = [cardData?.license ?? []].flat()[0] ?? null;
  const files = siblings.map(({ rfilename, size: sizeBytes, blobId, lfs }): HubFile => {
    if (leavesFolder(rfilename))
      throw unfit(`${repository} holds a file of the name ${JSON.stringify(rfilename)}`);
    if (lfs) return { path: rfilename, sizeBytes: lfs.size, sha256: lfs.sha256, gitSha1: null };
    if (sizeBytes == null || blobId == null)
      throw unfit(`${repository} gives no size or digest for ${rfilename}`);
    return { path: rfilename, sizeBytes, sha256: null, gitSha1: blobId };
  });
  return { repository, commit, licence, files };
}

async function boundedText(response: Response, alive: () => void): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    alive();
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_METADATA_BYTES)
      throw unfit(`${response.url} is longer than ${MAX_METADATA_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // which the schema refuses
  }
}

/** True for a name that would be written outside of the folder. */
function leavesFolder(path: string): boolean {
  const names = path.split("/");
  return path.includes("\\") || path.includes("\0") || names.some((name) => ["", ".", ".."].includes(name));
}

function invalid(problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", { part: "models pull", problem });
}

function unfit(problem: string): RuntimeError {
  return new RuntimeError("endpoint-failed", { part: "model hub", problem });
}
