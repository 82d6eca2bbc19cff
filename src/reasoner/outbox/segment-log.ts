import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { type FoundRecord, scanSegment } from "./record.ts";
import { Segment, segmentNumber } from "./segment.ts";

/** When what was written is forced to the disk: all three survive kill -9, only "record" a loss of power as well. */
export type FsyncPolicy = "record" | "interval" | "never";

export interface SegmentLogOptions {
  folder: string;
  /** Bytes of all segments; a segment takes a share of it. */
  maxBytes: number;
  fsync: FsyncPolicy;
  /** With "interval": at most this much can be lost with the power, ms. */
  fsyncIntervalMs: number;
}

export interface LogRecord {
  bytes: Buffer;
  /** True if someone is promised that it survives, as the policy says. */
  isMessage: boolean;
  /** Called when it is written, with its place, before `settle`. */
  written: (segment: Segment, offset: number) => void;
  /** Called with null, or why it is not there. */
  settle: (fault: unknown) => void;
}

/** What a segment held when it was opened. */
export interface LoadedSegment {
  records: readonly FoundRecord[];
  /** Damaged stretches between them. */
  corruptStretches: number;
  /** Its end was torn, and is cut off. */
  isTorn: boolean;
}

/** A segment takes no further record past this share of the whole: what is acknowledged can then be let go in parts. */
const SEGMENTS = 8;

/**
 * The files of an outbox: records are added at the end, all that wait in one go, and segments go at the front when all
 * their messages are acknowledged. Which message stands where is its owner's business.
 */
export class SegmentLog {
  /** Writes that the disk failed. */
  failedWrites = 0;
  readonly #options: SegmentLogOptions;
  /** Oldest first; only the last may be open for writing. */
  readonly #segments: Segment[] = [];
  #pending: LogRecord[] = [];
  #pendingBytes = 0;
  #lastSegment = 0;
  #worker: Promise<void> | null = null;
  #syncTimer: NodeJS.Timeout | null = null;
  #syncDue = false;

  constructor(options: SegmentLogOptions) {
    this.#options = options;
  }

  /** On disk, bytes. */
  get sizeBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  }

  /** Not yet there. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Opens what is there. Once, before anything is written.
   * @param found Called for each segment, oldest first; it counts the segment's messages that nobody has acknowledged.
   */
  async load(found: (segment: Segment, loaded: LoadedSegment) => void): Promise<void> {
    const { folder } = this.#options;
    const numbers = (await readdir(folder)).map(segmentNumber).filter((number) => number !== null);
    for (const number of numbers.sort((a, b) => a - b)) {
      this.#lastSegment = number;
      const path = join(folder, `${String(number).padStart(10, "0")}.segment`);
      const bytes = await readFile(path);
      const { records, corruptStretches, wholeBytes } = scanSegment(bytes);
      const segment = await Segment.existing(folder, number, wholeBytes);
      this.#segments.push(segment);
      found(segment, { records, corruptStretches, isTorn: wholeBytes < bytes.length });
    }
    await this.#removeAcknowledged();
  }

  /** Adds a record after those that were given before it. */
  write(record: LogRecord): void {
    this.#pending.push(record);
    this.#pendingBytes += record.bytes.length;
    this.#work();
  }

  /** Resolves when all that was given before is written. */
  async close(): Promise<void> {
    if (this.#syncTimer) clearTimeout(this.#syncTimer);
    this.#syncDue = this.#options.fsync !== "never";
    this.#work();
    while (this.#worker) await this.#worker;
    await this.#segments.at(-1)?.seal();
    await this.#removeAcknowledged();
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
        this.failedWrites++;
        fault = diskFault(this.#options.folder, "cannot be written", cause);
      }
      this.#syncDue = false;
      this.#pendingBytes -= batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const { settle } of batch) settle(fault);
      // Not before: what was written is written, even if something old cannot be removed.
      await this.#removeAcknowledged().catch(() => {
        this.failedWrites++;
      });
    }
  }

  async #writeBatch(batch: readonly LogRecord[]): Promise<void> {
    const { fsync } = this.#options;
    const segment = await this.#activeSegment();
    const bytes = Buffer.concat(batch.map((record) => record.bytes));
    const hasMessage = batch.some(({ isMessage }) => isMessage);
    let offset: number;
    try {
      offset = await segment.append(bytes, fsync === "record" && hasMessage);
    } catch (fault) {
      // A disk that stays full must not fill the folder with empty files.
      if (segment.sizeBytes === 0) await this.#segments.pop()!.remove();
      throw fault;
    }
    for (const record of batch) {
      record.written(segment, offset);
      offset += record.bytes.length;
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

/** The error for a file or folder that the disk fails. */
export function diskFault(path: string, problem: string, cause: unknown): RuntimeError {
  return new RuntimeError("output-failed", { part: "outbox", problem: `${path} ${problem}`, cause });
}
