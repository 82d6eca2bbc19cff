import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { HUB_ENDPOINT, Hub } from "../hub/hub.ts";
import { type PullLock, pull, readPullLock } from "../hub/pull.ts";
import type { Snapshot } from "../hub/snapshot.ts";
import { verifyFolder } from "./checkpoints.ts";
import { type Invocation, type Io, requiredArgument, stringOption } from "./command.ts";

/** Licences under which weights may be shipped in a product without a second look. */
const PERMISSIVE = ["apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "unlicense"];
/** Least time between two lines of progress on a terminal, ms. */
const PROGRESS_MS = 250;

/** `microturn models pull OWNER/NAME` */
export async function modelsPull(invocation: Invocation): Promise<number> {
  const { values, io } = invocation;
  const repository = requiredArgument(invocation, "models pull", "OWNER/NAME");
  const folder = resolve(stringOption(values, "to") ?? join(modelsFolder(), repository));
  const offline = values.offline === true || isSet(process.env.HF_HUB_OFFLINE);
  const lock = offline ? await held(folder, repository) : await fetched(invocation, repository, folder);
  const sizeBytes = Object.values(lock.files).reduce((sum, file) => sum + file.sizeBytes, 0);
  const { commit, licence } = lock;
  io.out(
    values.json === true
      ? `${JSON.stringify({ repository, folder, commit, licence, sizeBytes, files: Object.keys(lock.files) })}\n`
      : `${repository} at ${commit.slice(0, 12)}: ${Object.keys(lock.files).length} files, ${(sizeBytes / 1e6).toFixed(1)} MB in ${folder}\n`,
  );
  return EXIT.ok;
}

/** Where pulled checkpoints stand (XDG Base Directory Specification). */
function modelsFolder(): string {
  const cache = process.env.XDG_CACHE_HOME;
  return join(cache === undefined || cache === "" ? join(homedir(), ".cache") : cache, "microturn", "models");
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && !["", "0", "false", "no", "off"].includes(value.toLowerCase());
}

async function fetched({ values, io }: Invocation, repository: string, folder: string): Promise<PullLock> {
  const hub = new Hub({ endpoint: process.env.HF_ENDPOINT || HUB_ENDPOINT, token: process.env.HF_TOKEN });
  const meter = new Meter(io);
  try {
    return await pull(hub, {
      repository,
      revision: stringOption(values, "revision"),
      folder,
      signal: io.signal,
      begins: (snapshot) => io.err(announcement(hub.endpoint, snapshot)),
      progress: (...done) => meter.show(...done),
    });
  } finally {
    meter.end();
  }
}

/** Before the first byte: how much comes, and under which licence if it is one to read. */
function announcement(endpoint: string, { repository, commit, licence, files }: Snapshot): string {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const head = `${repository} at ${commit.slice(0, 12)}: ${files.length} files, ${(sizeBytes / 1e6).toFixed(1)} MB\n`;
  if (licence !== null && PERMISSIVE.includes(licence)) return head;
  const named = licence === null ? "names no licence" : `comes under the licence ${licence}`;
  return `${head}${repository} ${named}: read ${endpoint}/${repository} before you ship it\n`;
}

/**
 * What stands in the folder, without the network.
 * @throws RuntimeError "missing-file" if nothing was pulled, "invalid-checkpoint" if a file is missing or another.
 */
async function held(folder: string, repository: string): Promise<PullLock> {
  const lock = await readPullLock(folder);
  const remedy = "Pull it once without --offline and HF_HUB_OFFLINE";
  if (lock === null || lock.repository !== repository) {
    const problem = `${folder} does not hold ${repository}`;
    throw new RuntimeError("missing-file", { part: "models pull", problem, remedy });
  }
  const wrong = (await verifyFolder(folder, lock.files)).filter(({ state }) => state !== "right");
  if (wrong.length > 0) {
    const problem = `${folder} is not what was pulled: ${wrong.map(({ file, state }) => `${file} (${state})`).join(", ")}`;
    throw new RuntimeError("invalid-checkpoint", { part: "models pull", problem, remedy });
  }
  return lock;
}

/** One line a file; on a terminal it counts up. */
class Meter {
  readonly #io: Io;
  #shownMs = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(io: Io) {
    this.#io = io;
  }

  show(file: string, doneBytes: number, sizeBytes: number): void {
    const nowMs = performance.now();
    const done = doneBytes === sizeBytes;
    if (!done && (!this.#io.isTerminal || nowMs - this.#shownMs < PROGRESS_MS)) return;
    this.#shownMs = nowMs;
    const line = `${file}  ${(doneBytes / 1e6).toFixed(1)} of ${(sizeBytes / 1e6).toFixed(1)} MB`;
    this.#io.err(this.#io.isTerminal ? `\r\x1b[K${line.slice(0, this.#io.columns - 1)}` : `${line}\n`);
    this.#open = this.#io.isTerminal;
  }

  end(): void {
    if (this.#open) this.#io.err("\n");
  }
}
