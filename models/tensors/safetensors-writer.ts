import { type FileHandle, open } from "node:fs/promises";
import { RuntimeError } from "../../src/core/errors.ts";
import { outputFailed } from "../../src/core/output.ts";
import { ELEMENT_TYPES, type ElementTypeName } from "./element-types.ts";
import { elementCount } from "./ranges.ts";

/** One tensor to write. */
export interface WrittenTensor {
  name: string;
  dtype: ElementTypeName;
  shape: readonly number[];
  /** Its bytes, little-endian, in pieces; asked for when its turn comes. */
  pieces(): AsyncIterable<Uint8Array>;
}

/**
 * Writes a safetensors file piece by piece, so that memory stays small. The header is padded with spaces to a multiple of
 * 8 bytes, as the format recommends.
 *
 * @param path There must be no such file.
 * @throws RuntimeError "output-failed", "internal" if the pieces of a tensor do not make its shape. What was written of
 *   the file stays: the caller removes it.
 */
export async function writeSafetensors(path: string, tensors: readonly WrittenTensor[]): Promise<void> {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, dtype, shape }) => {
      const start = end;
      end += elementCount(shape) * ELEMENT_TYPES[dtype].sizeBytes;
      return [name, { dtype, shape, data_offsets: [start, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const head = Buffer.alloc(8 + padded, " ");
  head.writeBigUInt64LE(BigInt(padded));
  head.set(json, 8);
  const file = await open(path, "wx").catch((cause: NodeJS.ErrnoException) => {
    throw outputFailed(path, cause);
  });
  try {
    await write(file, path, head);
    for (const tensor of tensors) {
      let left = elementCount(tensor.shape) * ELEMENT_TYPES[tensor.dtype].sizeBytes;
      for await (const piece of tensor.pieces()) {
        left -= piece.byteLength;
        await write(file, path, piece);
      }
      if (left !== 0) {
        throw new RuntimeError("internal", {
          part: tensor.name,
          problem: `${left} bytes short of its shape`,
        });
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function write(file: FileHandle, path: string, bytes: Uint8Array): Promise<void> {
  await file.writeFile(bytes).catch((cause: NodeJS.ErrnoException) => {
    throw outputFailed(path, cause);
  });
}
