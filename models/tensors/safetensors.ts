import { ByteFile } from "./byte-file.ts";
import { ELEMENT_TYPES } from "./element-types.ts";
import { decodeInPieces, type ElementRange, findTensor, rangeOf, type StoredTensorFile } from "./ranges.ts";
import { type HeaderEntry, headerLength, PREFIX_BYTES, parseHeader } from "./safetensors-header.ts";
import { isIndex, openSharded } from "./sharded.ts";
import { presentBlocks } from "./stored-blocks.ts";
import type { TensorFile } from "./tensor-file.ts";

/**
 * Opens a safetensors file, or a checkpoint in several of them by its index (`model.safetensors.index.json`, the layout
 * of the Hugging Face hub). Types F32, F16, BF16, I8, U8, I32, U32 and I64; what `microturn models quantize` wrote is
 * given under the tensors' own names.
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function openSafetensors(path: string): Promise<TensorFile> {
  const file = await openStoredSafetensors(path);
  try {
    return presentBlocks(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The same with every tensor as it stands there, and with its bytes. */
export function openStoredSafetensors(path: string): Promise<StoredTensorFile> {
  return isIndex(path) ? openSharded(path, openOne) : openOne(path);
}

async function openOne(path: string): Promise<StoredTensorFile> {
  const file = await ByteFile.open(path);
  try {
    const prefix = new Uint8Array(Math.min(PREFIX_BYTES, file.sizeBytes));
    await file.readInto(prefix, 0);
    const json = new Uint8Array(headerLength(prefix, file.sizeBytes, path));
    await file.readInto(json, PREFIX_BYTES);
    const dataStart = PREFIX_BYTES + json.byteLength;
    const entries = parseHeader(json, { dataBytes: file.sizeBytes - dataStart, source: path });
    return new SafetensorsFile(file, dataStart, entries);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class SafetensorsFile implements StoredTensorFile {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, HeaderEntry>;
  readonly #file: ByteFile;
  readonly #dataStart: number;

  constructor(file: ByteFile, dataStart: number, entries: readonly HeaderEntry[]) {
    this.source = file.path;
    this.tensors = new Map(entries.map((entry) => [entry.name, entry]));
    this.#file = file;
    this.#dataStart = dataStart;
  }

  async read(name: string, range?: ElementRange): Promise<Float32Array> {
    const entry = findTensor(this, name);
    const whole = rangeOf(this.source, entry, range);
    const { sizeBytes, decode } = ELEMENT_TYPES[entry.dtype];
    return decodeInPieces(whole.count, async (out, done) => {
      const bytes = new Uint8Array(out.length * sizeBytes);
      await this.#file.readInto(bytes, this.#at(entry, (whole.start + done) * sizeBytes));
      decode(bytes, out);
    });
  }

  async readStored(name: string, range?: ElementRange): Promise<Uint8Array> {
    const entry = findTensor(this, name);
    const { start, count } = rangeOf(this.source, entry, range);
    const { sizeBytes } = ELEMENT_TYPES[entry.dtype];
    const bytes = new Uint8Array(count * sizeBytes);
    await this.#file.readInto(bytes, this.#at(entry, start * sizeBytes));
    return bytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #at(entry: HeaderEntry, offset: number): number {
    return this.#dataStart + entry.offset + offset;
  }
}
