import { mkdir } from "node:fs/promises";
import { RuntimeError } from "../../core/errors.ts";
import { lockFolder } from "./lock.ts";
import { encodeRecord, type FoundRecord, HEADER_BYTES, readRecord } from "./record.ts";
import type { Segment } from "./segment.ts";
import { diskFault, type FsyncPolicy, SegmentLog } from "./segment-log.ts";

export type { FsyncPolicy };

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

/**
 * A queue of messages on disk that survives the process and the power: append-only segments, each record with its
 * length and CRC-32. First in, first out, at least once: what is not acknowledged is there again after a restart.
 */
export class Outbox {
  readonly #options: Required<OutboxOptions>;
  readonly #unlock: () => Promise<void>;
  readonly #log: SegmentLog;
  /** In order of id. */
  readonly #entries = new Map<number, Entry>();
  readonly #counts = { tornTails: 0, corrupt: 0, expired: 0, refused: 0 };
  #lastId = 0;
  #closed = false;

  private constructor(options: Required<OutboxOptions>, unlock: () => Promise<void>) {
    this.#options = options;
    this.#unlock = unlock;
    this.#log = new SegmentLog(options);
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
      throw diskFault(folder, "cannot be made", cause);
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
      throw diskFault(folder, "cannot be read", cause);
    }
    return outbox;
  }

  get counts(): OutboxCounts {
    const { sizeBytes, failedWrites } = this.#log;
    return { waiting: this.#entries.size, sizeBytes, failedWrites, ...this.#counts };
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
    if (this.#closed || this.#log.sizeBytes + this.#log.pendingBytes + sizeBytes > maxBytes) {
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
      const written = (segment: Segment, offset: number) =>
        this.#wait(id, { segment, offset, sizeBytes, appendedMs: this.#options.monotonicMs() });
      this.#log.write({ bytes, isMessage: true, written, settle });
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
        throw diskFault(segment.path, "cannot be read", cause);
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
    try {
      await this.#log.close();
    } finally {
      await this.#unlock();
    }
  }

  async #load(): Promise<void> {
    await this.#log.load((segment, { records, corruptStretches, isTorn }) => {
      this.#counts.corrupt += corruptStretches;
      if (isTorn) this.#counts.tornTails++;
      for (const record of records) this.#restore(segment, record);
    });
  }

  #restore(segment: Segment, { type, id, offset, payloadBytes, writtenMs }: FoundRecord): void {
    this.#lastId = Math.max(this.#lastId, id);
    if (type === "message") {
      const { wallMs, monotonicMs } = this.#options;
      const ageMs = Math.max(0, wallMs() - writtenMs);
      const sizeBytes = HEADER_BYTES + payloadBytes;
      this.#wait(id, { segment, offset, sizeBytes, appendedMs: monotonicMs() - ageMs });
      return;
    }
    const acknowledged = this.#entries.get(id);
    if (!acknowledged) return;
    this.#entries.delete(id);
    acknowledged.segment.unacknowledged--;
  }

  #wait(id: number, entry: Entry): void {
    this.#entries.set(id, entry);
    entry.segment.unacknowledged++;
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
    this.#log.write({ bytes, isMessage: false, written: () => {}, settle: () => {} });
  }
}
