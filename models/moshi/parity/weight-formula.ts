import { z } from "zod";
import { checked, failFor, jsonOf } from "../../tensors/json.ts";
import type { TensorEntry, TensorFile } from "../../tensors/tensor-file.ts";

/**
 * Random weights that every machine makes alike, so that a large checkpoint is known by its name, seed and spread alone:
 *
 *   x = i · 0x9E3779B9 + fnv1a32(name) + seed · 0x85EBCA6B, then the finaliser of MurmurHash3, all in 32 bits
 *   value[i] = fround(offset + scale · ((x >>> 8) · 2^-23 − 1)),  i the flat row-major index
 *
 * @param start First element.
 * @param count Elements.
 */
export function weightsByFormula(
  tensor: { name: string; seed: number; offset: number; scale: number },
  start: number,
  count: number,
): Float32Array {
  const { name, seed, offset, scale } = tensor;
  const base = (fnv1a32(name) + Math.imul(seed, 0x85ebca6b)) | 0;
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (Math.imul(start + i, 0x9e3779b9) + base) | 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = Math.imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    out[i] = offset + scale * ((x >>> 8) * 2 ** -23 - 1);
  }
  return out;
}

/** The 32-bit FNV-1a hash of a text's UTF-8 bytes. */
function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}

const listSchema = z.strictObject({
  seed: z.int().min(0).max(0xffffffff),
  tensors: z.record(
    z.string().min(1).max(500),
    z.looseObject({
      shape: z
        .array(
          z
            .int()
            .min(0)
            .max(2 ** 31),
        )
        .max(8),
      offset: z.number(),
      scale: z.number(),
    }),
  ),
});

/**
 * A checkpoint that is nothing but a list of names, shapes, offsets and scales (`tensors.json`), as a file of F32 tensors.
 *
 * @param json   The list.
 * @param source For messages: its path.
 * @throws RuntimeError "invalid-checkpoint" naming the field and what was expected.
 */
export function openFormula(json: string, source: string): TensorFile {
  const fail = failFor("weight formula", source);
  const { seed, tensors } = checked(listSchema, jsonOf(json, fail), fail);
  const entries = Object.entries(tensors).map(([name, { shape }]): [string, TensorEntry] => [
    name,
    { name, shape, dtype: "F32" },
  ]);
  return {
    source,
    tensors: new Map(entries),
    async read(name, range) {
      const tensor = Object.hasOwn(tensors, name) ? tensors[name]! : fail(`has no tensor ${name}`);
      const length = tensor.shape.reduce((product, dim) => product * dim, 1);
      const { start, count } = range ?? { start: 0, count: length };
      const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(count);
      if (!isWhole || start < 0 || count < 0 || start + count > length) {
        fail(`${name} has ${length} elements, ${count} from ${start} on were asked for`);
      }
      return weightsByFormula({ name, seed, offset: tensor.offset, scale: tensor.scale }, start, count);
    },
    close: () => Promise.resolve(),
  };
}
