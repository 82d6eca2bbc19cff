import { type BlockType, GGUF_TYPES } from "./block-types.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { elementCount } from "./ranges.ts";

/** Bytes of a header: a vocabulary of 250,000 words takes some 10 MB of it. */
export const MAX_GGUF_HEADER_BYTES = 64 * 2 ** 20;
const MAX_TENSORS = 2 ** 16;
const MAX_METADATA = 2 ** 16;
/** Tensors of ggml have four axes. */
const MAX_DIMS = 4;
const MAX_DIM = 2 ** 31;
const MAX_NAME_BYTES = 256;
const MAX_ARRAY_DEPTH = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 2 ** 16;

/** Bytes of the metadata types of fixed width, by their numbers; 8 is a text and 9 an array. */
const METADATA_BYTES: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 4],
  [5, 4],
  [6, 4],
  [7, 1],
  [10, 8],
  [11, 8],
  [12, 8],
]);
const TEXT = 8;
const ARRAY = 9;
const UINT32 = 4;

/** One tensor of a GGUF file, checked. */
export interface GgufEntry {
  name: string;
  dtype: string;
  /** Rows first: the reverse of the file's order. */
  shape: readonly number[];
  type: BlockType;
  /** Of its first byte in the file. */
  offset: number;
  sizeBytes: number;
}

/** The header goes on beyond the bytes at hand. */
export class HeaderCutShort extends Error {}

/**
 * Takes the head of a GGUF file apart, versions 2 and 3, little-endian (github.com/ggml-org/ggml, docs/gguf.md). Metadata
 * are walked over; only the alignment is read.
 *
 * @param head The file's first bytes.
 * @returns The tensors in the order of their bytes: inside the file, aligned, without overlap.
 * @throws HeaderCutShort if `head` ends inside the header, RuntimeError "invalid-checkpoint".
 */
export function parseGgufHeader(head: Uint8Array, fileBytes: number, source: string): GgufEntry[] {
  const cursor = new Cursor(head, source);
  const magic = String.fromCharCode(...cursor.bytes(4));
  if (magic !== "GGUF") throw invalidCheckpoint(source, "does not begin with GGUF");
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    throw invalidCheckpoint(source, `is of GGUF version ${version}, expected 2 or 3, little-endian`);
  }
  const nTensors = cursor.count("tensors", MAX_TENSORS);
  const nMetadata = cursor.count("metadata", MAX_METADATA);
  let alignment = DEFAULT_ALIGNMENT;
  for (let i = 0; i < nMetadata; i++) {
    const key = cursor.text("a metadata key", MAX_NAME_BYTES);
    const type = cursor.u32();
    if (key === "general.alignment" && type === UINT32) alignment = cursor.u32();
    else skipValue(cursor, type, 0);
  }
  if (alignment < 8 || alignment > MAX_ALIGNMENT || alignment % 8 !== 0) {
    throw invalidCheckpoint(source, `has an alignment of ${alignment}, expected a multiple of 8`);
  }
  const entries = Array.from({ length: nTensors }, () => readEntry(cursor, alignment, source));
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  return placed(entries, dataStart, fileBytes, source);
}

function readEntry(cursor: Cursor, alignment: number, source: string): GgufEntry {
  const name = cursor.text("a tensor's name", MAX_NAME_BYTES);
  const fault = (problem: string) => invalidCheckpoint(source, `${name} ${problem}`);
  const nDims = cursor.u32();
  if (nDims > MAX_DIMS) throw fault(`has ${nDims} axes, expected at most ${MAX_DIMS}`);
  const shape = Array.from({ length: nDims }, () => cursor.count(`sizes of ${name}`, MAX_DIM)).reverse();
  const number = cursor.u32();
  const type = GGUF_TYPES.get(number);
  if (!type) {
    const known = [...GGUF_TYPES].map(([id, { name: label }]) => `${label} (${id})`).join(", ");
    throw fault(`is of type number ${number}, expected one of ${known}`);
  }
  const inner = shape.at(-1) ?? 1;
  if (inner % type.elements !== 0) throw fault(`has rows of ${inner}, no multiple of ${type.elements}`);
  const offset = cursor.count(`an offset of ${name}`, Number.MAX_SAFE_INTEGER);
  if (offset % alignment !== 0) throw fault(`begins at byte ${offset}, no multiple of ${alignment}`);
  const sizeBytes = (elementCount(shape) / type.elements) * type.sizeBytes;
  return { name, dtype: type.name, shape, type, offset, sizeBytes };
}

/** With offsets in the file instead of in its data. */
function placed(entries: GgufEntry[], dataStart: number, fileBytes: number, source: string): GgufEntry[] {
  const sorted = entries.toSorted((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  const names = new Set<string>();
  let end = 0;
  for (const { name, offset, sizeBytes } of sorted) {
    if (names.has(name)) throw invalidCheckpoint(source, `${name} stands there twice`);
    names.add(name);
    if (offset < end) throw invalidCheckpoint(source, `${name} overlaps the tensor before it`);
    end = offset + sizeBytes;
    if (dataStart + end > fileBytes) {
      throw invalidCheckpoint(source, `${name} ends at byte ${dataStart + end} of ${fileBytes}`);
    }
  }
  return sorted.map((entry) => ({ ...entry, offset: dataStart + entry.offset }));
}

function skipValue(cursor: Cursor, type: number, depth: number): void {
  const width = METADATA_BYTES.get(type);
  if (width !== undefined) cursor.skip(width);
  else if (type === TEXT) cursor.skip(cursor.count("bytes of a text", MAX_GGUF_HEADER_BYTES));
  else if (type === ARRAY && depth < MAX_ARRAY_DEPTH) {
    const itemType = cursor.u32();
    const length = cursor.count("items of an array", MAX_GGUF_HEADER_BYTES);
    const itemBytes = METADATA_BYTES.get(itemType);
    if (itemBytes !== undefined) cursor.skip(length * itemBytes);
    else for (let i = 0; i < length; i++) skipValue(cursor, itemType, depth + 1);
  } else throw cursor.fault(`a metadata value of type ${type}`);
}

/** Reads forward; never past what is there. */
class Cursor {
  position = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #source: string;

  constructor(bytes: Uint8Array, source: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
  }

  skip(length: number): void {
    if (this.position + length > MAX_GGUF_HEADER_BYTES) {
      throw invalidCheckpoint(this.#source, `its header is longer than ${MAX_GGUF_HEADER_BYTES} bytes`);
    }
    if (this.position + length > this.#bytes.byteLength) throw new HeaderCutShort();
    this.position += length;
  }

  bytes(length: number): Uint8Array {
    this.skip(length);
    return this.#bytes.subarray(this.position - length, this.position);
  }

  u32(): number {
    this.skip(4);
    return this.#view.getUint32(this.position - 4, true);
  }

  /** A u64 that says how many of `what` there are. */
  count(what: string, most: number): number {
    this.skip(8);
    const value = this.#view.getBigUint64(this.position - 8, true);
    if (value > BigInt(most)) throw this.fault(`${value} ${what}, expected at most ${most}`);
    return Number(value);
  }

  text(what: string, mostBytes: number): string {
    const bytes = this.bytes(this.count(`bytes of ${what}`, mostBytes));
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw invalidCheckpoint(this.#source, `${what} before byte ${this.position} is not UTF-8`, cause);
    }
  }

  fault(problem: string): Error {
    return invalidCheckpoint(this.#source, `its header before byte ${this.position}: ${problem}`);
  }
}
