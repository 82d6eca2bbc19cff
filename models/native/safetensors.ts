import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { RuntimeError } from "../../src/core/errors.ts";

/** Bytes of JSON that a header may take: some 20,000 tensors. */
const MAX_HEADER_BYTES = 4 * 2 ** 20;
/** What a file may take: far above what an edge device runs, and below what one buffer holds. */
const MAX_FILE_BYTES = 2 ** 31 - 1;
const MAX_DIMS = 8;

const ELEMENT_BYTES = { F32: 4, F16: 2, I8: 1 } as const;

export type StoredDtype = keyof typeof ELEMENT_BYTES;

/** One tensor as it stands in the file. */
export interface StoredTensor {
  dtype: StoredDtype;
  shape: readonly number[];
  /** Row-major, little-endian; a view of the file's bytes, of any alignment. */
  bytes: Uint8Array;
}

const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z
      .array(
        z
          .int()
          .min(0)
          .max(2 ** 31),
      )
      .max(MAX_DIMS),
    data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
  }),
);

/**
 * Reads a safetensors file (github.com/huggingface/safetensors, "Format").
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  let sizeBytes: number;
  try {
    sizeBytes = (await stat(path)).size;
  } catch (cause) {
    throw new RuntimeError("missing-file", {
      part: "checkpoint",
      problem: `${path} cannot be read`,
      remedy: "Name a folder with config.json, model.safetensors and tokenizer.json",
      cause,
    });
  }
  if (sizeBytes > MAX_FILE_BYTES) {
    throw invalid(path, `is ${sizeBytes} bytes long, expected at most ${MAX_FILE_BYTES}`);
  }
  return parseSafetensors(await readFile(path), path);
}

/**
 * Takes a safetensors file apart. Nothing in it is trusted before it is checked: the header's length, every type,
 * shape and offset, and that the tensors fill the data exactly, without overlap and without holes.
 *
 * @param file   The whole file. Borrowed: the tensors are views of it.
 * @param source For messages: the file's path.
 * @throws RuntimeError "invalid-checkpoint".
 */
export function parseSafetensors(file: Uint8Array, source: string): Map<string, StoredTensor> {
  if (file.byteLength < 8) throw invalid(source, `is ${file.byteLength} bytes long, too short for a header`);
  const declared = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw invalid(source, `declares a header of ${declared} bytes, expected at most ${MAX_HEADER_BYTES}`);
  }
  const headerBytes = Number(declared);
  if (8 + headerBytes > file.byteLength) {
    throw invalid(source, `declares a header of ${headerBytes} bytes but ends after ${file.byteLength - 8}`);
  }
  const header = parseHeader(file.subarray(8, 8 + headerBytes), source);
  // A plain view: `slice` of a Buffer would not copy.
  const dataStart = file.byteOffset + 8 + headerBytes;
  const data = new Uint8Array(file.buffer, dataStart, file.byteLength - 8 - headerBytes);

  const byOffset = Object.entries(header).sort(
    ([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1],
  );
  const tensors = new Map<string, StoredTensor>();
  let end = 0;
  for (const [name, entry] of byOffset) {
    const [start, stop] = entry.data_offsets;
    const { shape } = entry;
    if (!isStoredDtype(entry.dtype)) {
      throw invalid(source, `${name} is of type ${entry.dtype}, expected F32, F16 or I8`);
    }
    const sizeBytes = shape.reduce((product, dim) => product * dim, ELEMENT_BYTES[entry.dtype]);
    if (stop - start !== sizeBytes) {
      throw invalid(source, `${name} spans ${stop - start} bytes, expected ${sizeBytes} for [${shape}]`);
    }
    if (stop > data.byteLength) {
      throw invalid(source, `${name} ends at byte ${stop} of the data, which holds ${data.byteLength}`);
    }
    if (start < end) throw invalid(source, `${name} overlaps the tensor before it`);
    if (start > end) throw invalid(source, `${start - end} bytes before ${name} belong to no tensor`);
    tensors.set(name, { dtype: entry.dtype, shape, bytes: data.subarray(start, stop) });
    end = stop;
  }
  if (end !== data.byteLength) {
    throw invalid(source, `the last ${data.byteLength - end} bytes belong to no tensor`);
  }
  return tensors;
}

/** A float tensor's values in f32, newly allocated. */
export function floatValues(dtype: "F32" | "F16", bytes: Uint8Array): Float32Array {
  // The copy is aligned, which a view of the file need not be.
  const { buffer } = bytes.slice();
  return dtype === "F32" ? new Float32Array(buffer) : float32FromFloat16(new Uint16Array(buffer));
}

/** IEEE 754 binary16 to f32. */
export function float32FromFloat16(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  for (const [i, half] of halves.entries()) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}

function parseHeader(bytes: Uint8Array, source: string): z.infer<typeof headerSchema> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(source, "its header is not JSON", cause);
  }
  // Free text for people, the one entry that is no tensor.
  if (typeof value === "object" && value !== null && "__metadata__" in value) delete value.__metadata__;
  const parsed = headerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw invalid(source, `its header at ${issue.path.map(String).join(".") || "the top"}: ${issue.message}`);
}

function isStoredDtype(dtype: string): dtype is StoredDtype {
  return Object.hasOwn(ELEMENT_BYTES, dtype);
}

function invalid(source: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-checkpoint", {
    part: "checkpoint",
    problem: `${source}: ${problem}`,
    remedy: "Fetch or train the checkpoint again",
    cause,
  });
}
