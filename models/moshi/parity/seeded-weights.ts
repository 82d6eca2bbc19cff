import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";

/** 2 GiB of f32: the largest tensor there may be in a list. */
const MAX_ELEMENTS = 2 ** 29;
const GOLDEN = 0x9e3779b9;

const listSchema = z.object({
  seed: z.int().min(0).max(0xffff_ffff),
  tensors: z.record(
    z.string().min(1).max(500),
    z.object({
      shape: z.array(z.int().min(1).max(MAX_ELEMENTS)).max(8),
      offset: z.number(),
      scale: z.number(),
      sha256_16: z.string().length(16),
    }),
  ),
});

/**
 * Tensors that a list (`tensors.json`) describes by a seed, as a file: made anew whenever they are read, and compared with
 * the digests of the list when read whole.
 *
 * Value i of a tensor is offset + scale * u, where u in [-1, 1) is a mix of i, the FNV-1a hash of its name and the seed.
 *
 * @throws RuntimeError "invalid-checkpoint" for a list that is none, or "missing-file".
 */
export async function openSeededWeights(path: string): Promise<TensorFile> {
  const { seed, tensors } = await readList(path);
  const entries = new Map(
    Object.entries(tensors).map(([name, { shape }]) => [name, { name, shape, dtype: "F32" }] as const),
  );
  return {
    source: path,
    tensors: entries,
    read: async (name, range) => {
      const tensor = tensors[name];
      const length = tensor?.shape.reduce((product, size) => product * size, 1) ?? 0;
      const { start, count } = range ?? { start: 0, count: length };
      if (!tensor || length > MAX_ELEMENTS || start < 0 || count < 0 || start + count > length) {
        throw fault(path, `${name} has no elements ${start} to ${start + count}`);
      }
      const values = seededValues(name, { ...tensor, seed, start, count });
      if (count === length && digest16(values) !== tensor.sha256_16) {
        throw fault(path, `${name} is not what the list's digest says`);
      }
      return values;
    },
    close: async () => {},
  };
}

/** Elements [start, start + count) of the tensor of that name. */
export function seededValues(
  name: string,
  {
    seed,
    offset,
    scale,
    start,
    count,
  }: { seed: number; offset: number; scale: number; start: number; count: number },
): Float32Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  const base = (hash + Math.imul(seed, 0x85ebca6b)) | 0;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (Math.imul(start + i, GOLDEN) + base) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x ^= x >>> 16;
    values[i] = offset + scale * ((x >>> 8) * 2 ** -23 - 1);
  }
  return values;
}

function digest16(values: Float32Array): string {
  return createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex").slice(0, 16);
}

async function readList(path: string): Promise<z.infer<typeof listSchema>> {
  try {
    return listSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw fault(path, `is no list of tensors: ${messageOf(cause)}`, cause);
  }
}

function fault(path: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-checkpoint", { part: "parity", problem: `${path}: ${problem}`, cause });
}
