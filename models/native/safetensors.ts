import { readFile, stat } from "node:fs/promises";
import { RuntimeError } from "../../src/core/errors.ts";
import { invalidCheckpoint } from "../tensors/checkpoint-faults.ts";
import { float32FromFloat16 } from "../tensors/element-types.ts";
import { headerLength, PREFIX_BYTES, parseHeader } from "../tensors/safetensors-header.ts";

/** What a file may take: far above what an edge device runs, and below what one buffer holds. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

const STORED_DTYPES = ["F32", "F16", "I8"] as const;

export type StoredDtype = (typeof STORED_DTYPES)[number];

/** One tensor as it stands in the file. */
export interface StoredTensor {
  dtype: StoredDtype;
  shape: readonly number[];
  /** Row-major, little-endian; a view of the file's bytes, of any alignment. */
  bytes: Uint8Array;
}

/**
 * Reads a safetensors file whole: this family's are small.
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
    throw invalidCheckpoint(path, `is ${sizeBytes} bytes long, expected at most ${MAX_FILE_BYTES}`);
  }
  return parseSafetensors(await readFile(path), path);
}

/**
 * Takes a safetensors file of F32, F16 and I8 tensors apart; what is checked stands at `parseHeader`.
 *
 * @param file   The whole file. Borrowed: the tensors are views of it.
 * @param source For messages: the file's path.
 * @throws RuntimeError "invalid-checkpoint".
 */
export function parseSafetensors(file: Uint8Array, source: string): Map<string, StoredTensor> {
  const dataStart = PREFIX_BYTES + headerLength(file, file.byteLength, source);
  // A plain view: `slice` of a Buffer would not copy.
  const data = new Uint8Array(file.buffer, file.byteOffset + dataStart, file.byteLength - dataStart);
  const entries = parseHeader(file.subarray(PREFIX_BYTES, dataStart), {
    dataBytes: data.byteLength,
    source,
    allowed: STORED_DTYPES,
  });
  return new Map(
    entries.map(({ name, dtype, shape, offset, sizeBytes }) => [
      name,
      // `allowed` leaves no other type.
      { dtype: dtype as StoredDtype, shape, bytes: data.subarray(offset, offset + sizeBytes) },
    ]),
  );
}

/** A float tensor's values in f32, newly allocated. */
export function floatValues(dtype: "F32" | "F16", bytes: Uint8Array): Float32Array {
  // The copy is aligned, which a view of the file need not be.
  const { buffer } = bytes.slice();
  return dtype === "F32" ? new Float32Array(buffer) : float32FromFloat16(new Uint16Array(buffer));
}
