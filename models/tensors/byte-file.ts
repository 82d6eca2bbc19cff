import { type FileHandle, open, stat } from "node:fs/promises";
import { invalidCheckpoint, missingCheckpoint } from "./checkpoint-faults.ts";

/** A file that is read in ranges. Its length is that of the moment when it was opened. */
export class ByteFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #handle: FileHandle;

  private constructor(path: string, sizeBytes: number, handle: FileHandle) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#handle = handle;
  }

  /** @throws RuntimeError "missing-file" if there is no such file or it cannot be read. */
  static async open(path: string): Promise<ByteFile> {
    let handle: FileHandle;
    try {
      // A pipe would keep the opening waiting for a writer.
      if (!(await stat(path)).isFile()) throw new Error(`${path} is no file`);
      handle = await open(path, "r");
    } catch (cause) {
      throw missingCheckpoint(path, cause);
    }
    return new ByteFile(path, (await handle.stat()).size, handle);
  }

  /**
   * Fills `out` with the bytes from `offset` on.
   *
   * @throws RuntimeError "invalid-checkpoint" if the file ends before, or cannot be read.
   */
  async readInto(out: Uint8Array, offset: number): Promise<void> {
    let done = 0;
    while (done < out.byteLength) {
      const { bytesRead } = await this.#handle
        .read(out, done, Math.min(out.byteLength - done, MAX_READ_BYTES), offset + done)
        .catch((cause: unknown) => {
          throw invalidCheckpoint(this.path, `its bytes from ${offset + done} on cannot be read`, cause);
        });
      if (bytesRead === 0) throw invalidCheckpoint(this.path, `ends at byte ${offset + done}, expected more`);
      done += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** One call of the system reads at most 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;
