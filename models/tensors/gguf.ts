import type { Q4Blocks, Q8Blocks } from "../../kernels/blocks.ts";
import { splitQ4_0, splitQ8_0 } from "./block-types.ts";
import { ByteFile } from "./byte-file.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { type GgufEntry, HeaderCutShort, MAX_GGUF_HEADER_BYTES, parseGgufHeader } from "./gguf-header.ts";
import { decodeInPieces, type ElementRange, findTensor, rangeOf } from "./ranges.ts";
import type { TensorFile } from "./tensor-file.ts";

/** What is read at first; a header with a vocabulary is longer, and is then read again with twice as much. */
const FIRST_BYTES = 2 ** 18;

/**
 * Opens a GGUF file, version 2 or 3: F32, F16, BF16, I8, I32, I64, Q8_0, Q4_0, Q5_0, Q4_K and Q6_K. Shapes are given rows
 * first. A range must be whole blocks.
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function openGguf(path: string): Promise<TensorFile> {
  const file = await ByteFile.open(path);
  try {
    return new GgufFile(file, await readHeader(file));
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: ByteFile): Promise<GgufEntry[]> {
  for (let length = FIRST_BYTES; ; length *= 2) {
    const head = new Uint8Array(Math.min(length, file.sizeBytes, MAX_GGUF_HEADER_BYTES));
    await file.readInto(head, 0);
    try {
      return parseGgufHeader(head, file.sizeBytes, file.path);
    } catch (error) {
      if (!(error instanceof HeaderCutShort)) throw error;
      if (head.byteLength === file.sizeBytes)
        throw invalidCheckpoint(file.path, "ends inside its header", error);
    }
  }
}

class GgufFile implements TensorFile {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, GgufEntry>;
  readonly #file: ByteFile;

  constructor(file: ByteFile, entries: readonly GgufEntry[]) {
    this.source = file.path;
    this.tensors = new Map(entries.map((entry) => [entry.name, entry]));
    this.#file = file;
  }

  async read(name: string, range?: ElementRange): Promise<Float32Array> {
    const entry = findTensor(this, name);
    const { start, count } = rangeOf(this.source, entry, range, entry.type.elements);
    return decodeInPieces(count, async (out, done) => {
      entry.type.decode(await this.#stored(entry, start + done, out.length), out);
    });
  }

  async readBlocks(name: string, range?: ElementRange): Promise<Q8Blocks | Q4Blocks | null> {
    const entry = findTensor(this, name);
    const split = { Q8_0: splitQ8_0, Q4_0: splitQ4_0 }[entry.dtype];
    if (!split) return null;
    const { start, count } = rangeOf(this.source, entry, range, entry.type.elements);
    return split(await this.#stored(entry, start, count));
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #stored({ offset, type }: GgufEntry, start: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array((count / type.elements) * type.sizeBytes);
    await this.#file.readInto(bytes, offset + (start / type.elements) * type.sizeBytes);
    return bytes;
  }
}
