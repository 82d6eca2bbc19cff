import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import { cutShort, type Hub } from "./hub.ts";
import type { HubFile, Snapshot } from "./snapshot.ts";

export interface DownloadOptions {
  /** Where the file's path begins. */
  folder: string;
  signal: AbortSignal;
  /** Called as bytes arrive, with those that stand on disk. */
  progress?: (doneBytes: number) => void;
}

/**
 * Brings one file of a snapshot to disk. What has arrived stands in PATH.part and is gone on from, also by a later
 * call; the file takes its name when its digest is right.
 * @returns its SHA-256, lower-case hexadecimal.
 * @throws RuntimeError "invalid-checkpoint" if the content is not what the hub promised, "output-failed" if the disk
 *         fails, and what `Hub.get` throws.
 */
export async function download(
  hub: Hub,
  { repository, commit }: Snapshot,
  file: HubFile,
  { folder, signal, progress = () => {} }: DownloadOptions,
): Promise<string> {
  const path = join(folder, file.path);
  const standing = await digestOf(path, file);
  if (standing !== null && fault(standing, file) === null) return standing.sha256;
  const part = await PartFile.open(`${path}.part`, file);
  try {
    progress(part.sizeBytes);
    let before = part.sizeBytes;
    const address = `${repository}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
    if (part.sizeBytes < file.sizeBytes || file.sizeBytes === 0) {
      await hub.get(address, (response, alive) => take(response, part, { alive, progress }), {
        signal,
        headers: () => (part.sizeBytes > 0 ? { range: `bytes=${part.sizeBytes}-` } : {}),
        progressed: () => {
          const more = part.sizeBytes > before;
          before = part.sizeBytes;
          return more;
        },
      });
    }
    const digest = part.digest();
    const wrong = fault(digest, file);
    if (wrong !== null) {
      await part.remove();
      throw new RuntimeError("invalid-checkpoint", {
        part: "models pull",
        problem: `${repository} ${file.path}: ${wrong}`,
        remedy: "Run the command again; it begins this file anew",
      });
    }
    await part.become(path);
    return digest.sha256;
  } finally {
    await part.close();
  }
}

interface Digest {
  sha256: string;
  gitSha1: string;
}

/** What is wrong with a digest, or null. */
function fault({ sha256, gitSha1 }: Digest, file: HubFile): string | null {
  const [kind, got, expected] =
    file.sha256 === null ? ["git object", gitSha1, file.gitSha1] : ["SHA-256", sha256, file.sha256];
  return got === expected ? null : `its ${kind} is ${got}, expected ${expected}`;
}

/** Writes the body of an answer to the part: all of it, or the rest that was asked for. */
async function take(
  response: Response,
  part: PartFile,
  { alive, progress }: { alive: () => void; progress: (doneBytes: number) => void },
): Promise<void> {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  const begins = response.status === 206 ? Number(range?.[1] ?? Number.NaN) : 0;
  // A server that knows no ranges begins at the beginning.
  if (begins === 0) await part.restart();
  else if (begins !== part.sizeBytes) {
    await response.body?.cancel();
    throw cutShort(
      `was asked for bytes from ${part.sizeBytes}, answered ${response.headers.get("content-range")}`,
    );
  }
  for await (const chunk of response.body ?? []) {
    alive();
    await part.append(chunk);
    progress(part.sizeBytes);
  }
  const { sizeBytes, expectedBytes } = part;
  if (sizeBytes < expectedBytes) throw cutShort(`ended after ${sizeBytes} of ${expectedBytes} bytes`);
}

/** The digests of a file that stands at `path` with the right size; null if there is none. */
async function digestOf(path: string, { sizeBytes }: HubFile): Promise<Digest | null> {
  const info = await stat(path).catch(() => null);
  if (!info?.isFile() || info.size !== sizeBytes) return null;
  const digests = new Digests(sizeBytes);
  for await (const chunk of createReadStream(path)) digests.update(chunk);
  return digests.digest();
}

class Digests {
  readonly #sha256 = createHash("sha256");
  readonly #sha1: Hash;

  constructor(sizeBytes: number) {
    this.#sha1 = createHash("sha1").update(`blob ${sizeBytes}\0`);
  }

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#sha1.update(bytes);
  }

  digest(): Digest {
    return { sha256: this.#sha256.digest("hex"), gitSha1: this.#sha1.digest("hex") };
  }
}

/** A file that is still arriving, digested as it grows. */
class PartFile {
  readonly expectedBytes: number;
  sizeBytes = 0;
  readonly #path: string;
  readonly #file: FileHandle;
  #digests: Digests;

  private constructor(path: string, file: FileHandle, expectedBytes: number) {
    this.#path = path;
    this.#file = file;
    this.expectedBytes = expectedBytes;
    this.#digests = new Digests(expectedBytes);
  }

  /** Opens the part of an earlier attempt, if there is one that is not too long, or a new one. */
  static async open(path: string, { sizeBytes }: HubFile): Promise<PartFile> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const part = new PartFile(path, await open(path, "a+"), sizeBytes);
      try {
        if ((await part.#file.stat()).size > sizeBytes) await part.restart();
        else await part.#readStanding();
      } catch (cause) {
        await part.close();
        throw cause;
      }
      return part;
    } catch (cause) {
      throw diskFailed(path, cause);
    }
  }

  async #readStanding(): Promise<void> {
    for await (const chunk of this.#file.createReadStream({ start: 0, autoClose: false })) {
      this.#digests.update(chunk);
      this.sizeBytes += chunk.length;
    }
  }

  async restart(): Promise<void> {
    if (this.sizeBytes === 0 && (await this.#file.stat()).size === 0) return;
    await this.#file.truncate(0);
    this.sizeBytes = 0;
    this.#digests = new Digests(this.expectedBytes);
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.sizeBytes + bytes.length > this.expectedBytes) {
      await this.remove();
      throw new RuntimeError("invalid-checkpoint", {
        part: "models pull",
        problem: `${this.#path} grows past the ${this.expectedBytes} bytes that the hub promised`,
      });
    }
    try {
      await this.#file.appendFile(bytes);
    } catch (cause) {
      throw diskFailed(this.#path, cause);
    }
    this.sizeBytes += bytes.length;
    this.#digests.update(bytes);
  }

  digest(): Digest {
    return this.#digests.digest();
  }

  /** On disk under its name, also after a loss of power. */
  async become(path: string): Promise<void> {
    try {
      await this.#file.sync();
      await rename(this.#path, path);
    } catch (cause) {
      throw diskFailed(path, cause);
    }
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function diskFailed(path: string, cause: unknown): RuntimeError {
  const { code } = cause as NodeJS.ErrnoException;
  return new RuntimeError("output-failed", {
    part: "models pull",
    problem: code === "ENOSPC" ? `there is no room left for ${path}` : `${path} cannot be written`,
    remedy: "Make room or choose another folder with --to; what has arrived is kept",
    cause,
  });
}
