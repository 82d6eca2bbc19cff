import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { ELEMENT_TYPES, type ElementTypeName, isElementType } from "./element-types.ts";
import { isRecord, parseJson } from "./json.ts";
import { elementCount } from "./ranges.ts";

/** The u64 that a file begins with: the bytes of JSON that follow. */
export const PREFIX_BYTES = 8;
/** Bytes of JSON that a header may take: some 20,000 tensors, where the largest model of the family has 475. */
const MAX_HEADER_BYTES = 4 * 2 ** 20;
const MAX_DIMS = 8;
const MAX_DIM = 2 ** 31;

/** One tensor of a header, checked. */
export interface HeaderEntry {
  name: string;
  dtype: ElementTypeName;
  shape: readonly number[];
  /** Of its first byte, counted from the end of the header. */
  offset: number;
  sizeBytes: number;
}

/**
 * How many bytes of JSON follow the first eight.
 *
 * @param prefix The file's first bytes, up to eight.
 * @throws RuntimeError "invalid-checkpoint".
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, source: string): number {
  if (fileBytes < PREFIX_BYTES || prefix.byteLength < PREFIX_BYTES) {
    throw invalidCheckpoint(source, `is ${fileBytes} bytes long, too short for a header`);
  }
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw invalidCheckpoint(
      source,
      `declares a header of ${declared} bytes, expected at most ${MAX_HEADER_BYTES}`,
    );
  }
  const headerBytes = Number(declared);
  if (PREFIX_BYTES + headerBytes > fileBytes) {
    const present = fileBytes - PREFIX_BYTES;
    throw invalidCheckpoint(source, `declares a header of ${headerBytes} bytes but ends after ${present}`);
  }
  return headerBytes;
}

/**
 * Takes a header apart (github.com/huggingface/safetensors, "Format"). Nothing in it is trusted before it is checked:
 * every type, shape and offset, and that the tensors fill the data exactly, without overlap and without holes.
 *
 * @param json      The header without the eight bytes before it.
 * @param dataBytes What follows the header.
 * @param allowed   Types that may stand there; all that are known if absent.
 * @returns The tensors in the order of their bytes.
 * @throws RuntimeError "invalid-checkpoint".
 */
export function parseHeader(
  json: Uint8Array,
  { dataBytes, source, allowed }: { dataBytes: number; source: string; allowed?: readonly ElementTypeName[] },
): HeaderEntry[] {
  const expected = allowed ?? (Object.keys(ELEMENT_TYPES) as ElementTypeName[]);
  const entries = entriesOf(json, source).map(([name, value]) => checkEntry(name, value, expected, source));
  entries.sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = 0;
  for (const { name, offset, sizeBytes } of entries) {
    const stop = offset + sizeBytes;
    if (stop > dataBytes) {
      throw invalidCheckpoint(source, `${name} ends at byte ${stop} of the data, which holds ${dataBytes}`);
    }
    if (offset < end) throw invalidCheckpoint(source, `${name} overlaps the tensor before it`);
    if (offset > end) {
      throw invalidCheckpoint(source, `${offset - end} bytes before ${name} belong to no tensor`);
    }
    end = stop;
  }
  if (end !== dataBytes) {
    throw invalidCheckpoint(source, `the last ${dataBytes - end} bytes belong to no tensor`);
  }
  return entries;
}

function entriesOf(json: Uint8Array, source: string): [string, unknown][] {
  const value = parseJson(json, source, "its header");
  if (!isRecord(value)) throw invalidCheckpoint(source, "its header at the top is no object");
  // Free text for people, the one entry that is no tensor.
  return Object.entries(value).filter(([name]) => name !== "__metadata__");
}

function checkEntry(
  name: string,
  value: unknown,
  allowed: readonly ElementTypeName[],
  source: string,
): HeaderEntry {
  const fault = (at: string, problem: string) =>
    invalidCheckpoint(source, `its header at ${name}${at}: ${problem}`);
  if (!isRecord(value)) throw fault("", "is no object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw fault(".dtype", "is no text");
  if (!Array.isArray(shape) || shape.length > MAX_DIMS) {
    throw fault(".shape", `is no list of at most ${MAX_DIMS} sizes`);
  }
  for (const [axis, size] of shape.entries()) {
    if (!isWhole(size) || size > MAX_DIM) throw fault(`.shape.${axis}`, `is no size of at most ${MAX_DIM}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isWhole)) {
    throw fault(".data_offsets", "is no pair of byte offsets");
  }
  if (!isElementType(dtype) || !allowed.includes(dtype)) {
    const expected = `${allowed.slice(0, -1).join(", ")} or ${allowed.at(-1)}`;
    throw invalidCheckpoint(source, `${name} is of type ${dtype}, expected ${expected}`);
  }
  const [start, stop] = offsets as [number, number];
  const sizeBytes = elementCount(shape as number[]) * ELEMENT_TYPES[dtype].sizeBytes;
  if (stop - start !== sizeBytes) {
    throw invalidCheckpoint(
      source,
      `${name} spans ${stop - start} bytes, expected ${sizeBytes} for [${shape}]`,
    );
  }
  return { name, dtype, shape: shape as number[], offset: start, sizeBytes };
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
