import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { lockFolder } from "./lock.ts";
import { encodeRecord, HEADER_BYTES, readRecord, scanSegment } from "./record.ts";
import { Segment, segmentNumber } from "./segment.ts";

/** When what was written is forced to the disk: all three survive kill -9, only "record" a loss of power as well. */
export type FsyncPolicy = "record" | "interval" | "never";

export interface OutboxOptions {
  /** Made if absent; of one process alone. */
  folder: string;
  /** Bytes on disk at most; a message that does not fit is refused. */
  maxBytes: number;
  /** Messages older than this are dropped and counted, ms. */
  maxAgeMs: number;
  fsync: FsyncPolicy;
  /** With "interval": at most this much can be lost with the power, ms. Default 1000. */
  fsyncIntervalMs?: number;
  /** Unix ms; for a test. */
  wallMs?: () => number;
  /** Monotonic ms, any origin; for a test. */
  monotonicMs?: () => number;
}

/** One message that waits. */
export interface OutboxRecord {
  /** Grows from message to message, over restarts too as long as one waits. */
  id: number;
  payload: Buffer;
  /** Since it was appended, ms. */
  ageMs: number;
}

export interface OutboxCounts {
  /** Messages that wait. */
  waiting: number;
  /** On disk, bytes. */
  sizeBytes: number;
  /** Segments whose end was torn, as a crash in mid-write leaves it; nobody was promised what stood there. */
  tornTails: number;
  /** Damaged stretches that were passed over. */
  corrupt: number;
  /** Messages that grew too old. */
  expired: number;
  /** Messages that did not fit. */
  refused: number;
  /** Writes that the disk failed. */
  failedWrites: number;
}

interface Entry {
  segment: Segment;
  offset: number;
  sizeBytes: number;
  /** Monotonic: on a device without a battery the wall clock may jump by years when the network comes. */
  appendedMs: number;
}

interface Pending {
  id: number;
  bytes: Buffer;
  isMessage: boolean;
  settle: (fault: unknown) => void;
}

/** A segment takes no further record past this share of the whole: what is acknowledged can then be let go in parts. */
const SEGMENTS = 8;

/**
 * A queue of messages on disk that survives the process and the power: append-only segments, each record with its
 * length and CRC-32. First in, first out, at least once: what is not acknowledged is there again after a restart.
 */
export class Outbox {
  readonly #options: Required<OutboxOptions>;
  readonly #unlock: () => Promise<void>;
  /** Oldest first; only the last may be open for writing. */
  readonly #segments: Segment[] = [];
  /** In order of id. */
  readonly #entries = new Map<number, Entry>();
  readonly #counts = { tornTails: 0, corrupt: 0, expired: 0, refused: 0, failedWrites: 0 };
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #lastId = 0;
  #lastSegment = 0;
  #worker: Promise<void> | null = null;
  #syncTimer: NodeJS.Timeout | null = null;
  #syncDue = false;
  #closed = false;

  private constructor(options: Required<OutboxOptions>, unlock: () => Promise<void>) {
    this.#options = options;
    this.#unlock = unlock;
  }

  /**
   * Opens the outbox of a folder with what a session before has left there.
   * @throws RuntimeError "invalid-configuration" if another session has it, "output-failed" if it cannot be read.
   */
  static async open(options: OutboxOptions): Promise<Outbox> {
    const { folder } = options;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw failed(folder, "cannot be made", cause);
    }
    const full = {
      fsyncIntervalMs: 1000,
      wallMs: Date.now,
      monotonicMs: () => performance.now(),
      ...options,
    };
    const outbox = new Outbox(full, await lockFolder(folder));
    try {
      await outbox.#load();
    } catch (cause) {
      await outbox.#unlock();
      throw failed(folder, "cannot be read", cause);
    }
    return outbox;
  }

  get counts(): OutboxCounts {
    return { waiting: this.#entries.size, sizeBytes: this.#sizeBytes(), ...this.#counts };
  }

  /**
   * Adds a message. When this resolves it survives as the policy says.
   * @returns its id.
   * @throws RuntimeError "queue-full" if it does not fit, "output-failed" if the disk fails: then it is not there.
   */
  append(payload: Uint8Array): Promise<number> {
    this.#expire();
    const sizeBytes = HEADER_BYTES + payload.length;
    const { maxBytes, folder } = this.#options;
    if (this.#closed || this.#sizeBytes() + this.#pendingBytes + sizeBytes > maxBytes) {
      this.#counts.refused++;
      const problem = this.#closed
        ? "is closed"
        : `${folder} has no room for ${sizeBytes} of ${maxBytes} bytes`;
      return Promise.reject(new RuntimeError("queue-full", { part: "outbox", problem }));
    }
    const id = ++this.#lastId;
    const bytes = encodeRecord({ type: "message", id, writtenMs: this.#options.wallMs() }, payload);
    return new Promise((resolve, reject) => {
      const settle = (fault: unknown) => (fault === null ? resolve(id) : reject(fault));
      this.#enqueue({ id, bytes, isMessage: true, settle });
    });
  }

  /**
   * The oldest message after `afterId` that waits, or null. It stays until it is acknowledged.
   * @throws RuntimeError "output-failed" if the disk cannot be read.
   */
  async next(afterId = 0): Promise<OutboxRecord | null> {
    this.#expire();
    for (const [id, entry] of this.#entries) {
      if (id <= afterId) continue;
      const { segment, offset, sizeBytes, appendedMs } = entry;
      let bytes: Buffer;
      try {
        bytes = await segment.read(offset, sizeBytes);
      } catch (cause) {
        if (!this.#entries.has(id)) continue; // acknowledged meanwhile, and its segment gone
        throw failed(segment.path, "cannot be read", cause);
      }
      if (!this.#entries.has(id)) continue;
      if (readRecord(bytes, 0)?.id === id) {
        return { id, payload: bytes.subarray(HEADER_BYTES), ageMs: this.#options.monotonicMs() - appendedMs };
      }
      this.#counts.corrupt++;
      this.#forget(id, entry);
    }
    return null;
  }

  /** Lets go of a message. Until that is written a crash brings it back once more. */
  acknowledge(id: number): void {
    const entry = this.#entries.get(id);
    if (!entry || this.#closed) return;
    this.#forget(id, entry);
  }

  /** Resolves when all that was asked before is written; then another process may open the folder. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#syncTimer) clearTimeout(this.#syncTimer);
    this.#syncDue = this.#options.fsync !== "never";
    this.#work();
    while (this.#worker) await this.#worker;
    try {
      await this.#segments.at(-1)?.seal();
      await this.#removeAcknowledged();
    } finally {
      await this.#unlock();
    }
  }

  async #load(): Promise<void> {
    const { folder, wallMs, monotonicMs } = this.#options;
    const numbers = (await readdir(folder)).map(segmentNumber).filter((number) => number !== null);
    for (const number of numbers.sort((a, b) => a - b)) {
      this.#lastSegment = number;
      const path = join(folder, `${String(number).padStart(10, "0")}.segment`);
      const bytes = await readFile(path);
      const { records, corruptStretches, wholeBytes } = scanSegment(bytes);
      this.#counts.corrupt += corruptStretches;
      if (wholeBytes < bytes.length) this.#counts.tornTails++;
      const segment = await Segment.existing(folder, number, wholeBytes);
      this.#segments.push(segment);
      for (const { type, id, offset, payloadBytes, writtenMs } of records) {
        this.#lastId = Math.max(this.#lastId, id);
        const acknowledged = this.#entries.get(id);
        if (type === "message") {
          const ageMs = Math.max(0, wallMs() - writtenMs);
          const sizeBytes = HEADER_BYTES + payloadBytes;
          this.#entries.set(id, { segment, offset, sizeBytes, appendedMs: monotonicMs() - ageMs });
          segment.unacknowledged++;
        } else if (acknowledged) {
          this.#entries.delete(id);
          acknowledged.segment.unacknowledged--;
        }
      }
    }
    await this.#removeAcknowledged();
  }

  #sizeBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  }

  #expire(): void {
    const oldestMs = this.#options.monotonicMs() - this.#options.maxAgeMs;
    for (const [id, entry] of this.#entries) {
      if (entry.appendedMs >= oldestMs) return;
      this.#counts.expired++;
      this.#forget(id, entry);
    }
  }

  #forget(id: number, entry: Entry): void {
    this.#entries.delete(id);
    entry.segment.unacknowledged--;
    const bytes = encodeRecord(
      { type: "acknowledgement", id, writtenMs: this.#options.wallMs() },
      new Uint8Array(),
    );
    // A lost acknowledgement means that the message comes once more, which its receiver must bear anyway.
    this.#enqueue({ id, bytes, isMessage: false, settle: () => {} });
  }

  #enqueue(pending: Pending): void {
    this.#pending.push(pending);
    this.#pendingBytes += pending.bytes.length;
    this.#work();
  }

  #work(): void {
    this.#worker ??= this.#write().finally(() => {
      this.#worker = null;
      // Something may have come between its last look and this.
      if (this.#pending.length > 0 || this.#syncDue) this.#work();
    });
  }

  /** Writes what is pending, in one go per segment, until nothing is. */
  async #write(): Promise<void> {
    while (this.#pending.length > 0 || this.#syncDue) {
      const batch = this.#pending;
      this.#pending = [];
      let fault: unknown = null;
      try {
        if (batch.length > 0) await this.#writeBatch(batch);
        if (this.#syncDue) await this.#segments.at(-1)?.sync();
      } catch (cause) {
        this.#counts.failedWrites++;
        fault = failed(this.#options.folder, "cannot be written", cause);
      }
      this.#syncDue = false;
      this.#pendingBytes -= batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const { settle } of batch) settle(fault);
      // Not before: what was written is written, even if something old cannot be removed.
      await this.#removeAcknowledged().catch(() => {
        this.#counts.failedWrites++;
      });
    }
  }

  async #writeBatch(batch: readonly Pending[]): Promise<void> {
    const { fsync } = this.#options;
    const segment = await this.#activeSegment();
    const bytes = Buffer.concat(batch.map((pending) => pending.bytes));
    const hasMessage = batch.some(({ isMessage }) => isMessage);
    let offset: number;
    try {
      offset = await segment.append(bytes, fsync === "record" && hasMessage);
    } catch (fault) {
      // A disk that stays full must not fill the folder with empty files.
      if (segment.sizeBytes === 0) await this.#segments.pop()!.remove();
      throw fault;
    }
    const appendedMs = this.#options.monotonicMs();
    for (const { id, bytes: record, isMessage } of batch) {
      if (isMessage) {
        this.#entries.set(id, { segment, offset, sizeBytes: record.length, appendedMs });
        segment.unacknowledged++;
      }
      offset += record.length;
    }
    if (fsync === "interval") this.#planSync();
  }

  async #activeSegment(): Promise<Segment> {
    const { folder, maxBytes, fsync } = this.#options;
    const active = this.#segments.at(-1);
    if (active?.isOpen && active.sizeBytes < maxBytes / SEGMENTS) return active;
    if (active?.isOpen && fsync !== "never") await active.sync();
    await active?.seal();
    const segment = await Segment.create(folder, ++this.#lastSegment);
    this.#segments.push(segment);
    return segment;
  }

  /**
   * Removes the sealed segments at the front whose messages are all acknowledged. Only at the front: a segment also
   * holds the acknowledgements of those before it.
   */
  async #removeAcknowledged(): Promise<void> {
    while (this.#segments.length > 0) {
      const oldest = this.#segments[0]!;
      if (oldest.isOpen || oldest.unacknowledged > 0) return;
      await oldest.remove();
      this.#segments.shift();
    }
  }

  #planSync(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = null;
      this.#syncDue = true;
      this.#work();
    }, this.#options.fsyncIntervalMs).unref();
  }
}

function failed(path: string, problem: string, cause: unknown): RuntimeError {
  return new RuntimeError("output-failed", { part: "outbox", problem: `${path} ${problem}`, cause });
}
