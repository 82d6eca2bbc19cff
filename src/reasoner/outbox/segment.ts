import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";

const NAME = /^(\d{10})\.segment$/;

/** The number of a segment file, or null for another file's name. */
export function segmentNumber(fileName: string): number | null {
  const digits = NAME.exec(fileName)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** Makes the coming and going of files in a folder survive a loss of power (fsync(2): the file's own is not enough). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** One file of records. Grows at its end only while it is open for writing; its bytes never change. */
export class Segment {
  /** Messages in it that nobody has acknowledged. */
  unacknowledged = 0;
  readonly number: number;
  readonly path: string;
  readonly #folder: string;
  #sizeBytes: number;
  #writer: FileHandle | null;
  #unsynced = false;

  private constructor(folder: string, number: number, sizeBytes: number, writer: FileHandle | null) {
    this.number = number;
    this.path = join(folder, `${String(number).padStart(10, "0")}.segment`);
    this.#folder = folder;
    this.#sizeBytes = sizeBytes;
    this.#writer = writer;
  }

  /** A new, empty segment; on disk to stay when this resolves. */
  static async create(folder: string, number: number): Promise<Segment> {
    const segment = new Segment(folder, number, 0, null);
    segment.#writer = await open(segment.path, "ax");
    await syncFolder(folder);
    return segment;
  }

  /** One that was written before, cut to `sizeBytes`: it takes no more records. */
  static async existing(folder: string, number: number, sizeBytes: number): Promise<Segment> {
    const segment = new Segment(folder, number, sizeBytes, null);
    const handle = await open(segment.path, "r+");
    try {
      if ((await handle.stat()).size > sizeBytes) {
        await handle.truncate(sizeBytes);
        await handle.sync();
      }
    } finally {
      await handle.close();
    }
    return segment;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get isOpen(): boolean {
    return this.#writer !== null;
  }

  /**
   * Adds bytes at the end; when it rejects, none of them is there and the segment is sealed.
   * @param sync true to have them on the disk itself when this resolves.
   * @returns the offset of the first of them.
   */
  async append(bytes: Uint8Array, sync: boolean): Promise<number> {
    const writer = this.#writer!;
    const offset = this.#sizeBytes;
    try {
      await writer.appendFile(bytes);
      this.#unsynced = true;
      if (sync) await this.sync();
    } catch (fault) {
      // A write may have gone half way. After a failed fsync the kernel may have dropped the pages, and a second one
      // would say that all is well (https://wiki.postgresql.org/wiki/Fsync_Errors): write nothing more here.
      await writer.truncate(offset).catch(() => {
        // What stays is found torn or whole by the next start; either way it was never promised.
      });
      this.#unsynced = false;
      await this.seal();
      throw fault;
    }
    this.#sizeBytes = offset + bytes.length;
    return offset;
  }

  async sync(): Promise<void> {
    if (!this.#unsynced) return;
    await this.#writer?.datasync();
    this.#unsynced = false;
  }

  /** Takes no more records. */
  async seal(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    await writer?.close();
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const handle = await open(this.path, "r");
    try {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await handle.read(buffer, 0, length, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  }

  /** Removes the file, to stay removed: one that came back would bring back what was acknowledged. */
  async remove(): Promise<void> {
    await this.seal();
    await rm(this.path, { force: true });
    await syncFolder(this.#folder);
  }
}
