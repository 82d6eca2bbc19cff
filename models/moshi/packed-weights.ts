import { BLOCK } from "../../kernels/blocks.ts";
import { invalidCheckpoint } from "../tensors/checkpoint-faults.ts";
import { byRows, type LazyTensor, lazyTensors } from "../tensors/lazy-tensors.ts";
import type { StoredTensorFile } from "../tensors/ranges.ts";
import type { TensorEntry } from "../tensors/tensor-file.ts";

/**
 * Every tensor of a file as the values that it stands for, under its own name: those that MLX has packed in groups
 * (NAME.weight U32 with NAME.scales and NAME.biases) and those that bitsandbytes has rounded row by row (NAME I8 with
 * NAME_scb).
 *
 * @throws RuntimeError "invalid-checkpoint" naming a tensor whose parts do not fit together.
 */
export function unpackedTensors(file: StoredTensorFile): Map<string, LazyTensor> {
  const tensors = lazyTensors(file);
  for (const entry of file.tensors.values()) {
    const stem = entry.name.replace(/\.weight$/, "");
    const scales = file.tensors.get(`${stem}.scales`);
    const biases = file.tensors.get(`${stem}.biases`);
    const absmax = file.tensors.get(`${entry.name}_scb`);
    if (entry.dtype === "U32" && scales && biases) {
      tensors.set(entry.name, affine(file, packedBits(file), entry, scales, biases));
      for (const { name } of [scales, biases]) tensors.delete(name);
    } else if (entry.dtype === "I8" && absmax) {
      tensors.set(entry.name, rowwise(file, entry, absmax));
      tensors.delete(absmax.name);
    }
  }
  return tensors;
}

/**
 * MLX's affine groups: value = scale · q + bias, q of 4 or 8 bits, the first in the lowest bits of a u32.
 *
 * @param bits Of one value.
 */
function affine(
  file: StoredTensorFile,
  bits: number,
  packed: TensorEntry,
  scales: TensorEntry,
  biases: TensorEntry,
): LazyTensor {
  const [rows = 0, words = 0] = packed.shape;
  const groups = scales.shape[1] ?? 0;
  const group = (words * 32) / bits / groups;
  const sameShape = scales.shape.join() === biases.shape.join() && scales.shape[0] === rows;
  if (packed.shape.length !== 2 || scales.shape.length !== 2 || group % (32 / bits) !== 0 || !sameShape) {
    const shapes = `[${packed.shape}] with scales of [${scales.shape}] and biases of [${biases.shape}]`;
    throw invalidCheckpoint(file.source, `${packed.name} is of ${shapes}, expected one of each for a group`);
  }
  const perWord = 32 / bits;
  const cols = words * perWord;
  const mask = 2 ** bits - 1;
  return byRows({ name: packed.name, dtype: `Q${bits}_MLX`, shape: [rows, cols] }, async (first, count) => {
    const { buffer } = await file.readStored(packed.name, { start: first * words, count: count * words });
    const range = { start: first * groups, count: count * groups };
    const [scale, bias] = [await file.read(scales.name, range), await file.read(biases.name, range)];
    const integers = new Uint32Array(buffer);
    // Rows are whole groups, and groups whole words.
    return Float32Array.from({ length: count * cols }, (_, i) => {
      const q = (integers[Math.floor(i / perWord)]! >>> (bits * (i % perWord))) & mask;
      const g = Math.floor(i / group);
      return scale[g]! * q + bias[g]!;
    });
  });
}

/**
 * Bits of a packed value. Shapes alone do not tell 4 bits in groups of 64 from 8 in groups of 32; the width of the last
 * norm, which is never packed, is that of the text head.
 */
function packedBits(file: StoredTensorFile): number {
  const dim = file.tensors.get("out_norm.weight")?.shape.at(-1) ?? 0;
  const words = file.tensors.get("text_linear.weight")?.shape.at(-1) ?? 0;
  const bits = (words * 32) / dim;
  if (bits === 4 || bits === 8) return bits;
  throw invalidCheckpoint(
    file.source,
    `packs ${dim} values of text_linear.weight in ${words} words, expected 4 or 8 bits each`,
  );
}

/**
 * bitsandbytes' LLM.int8: value = q · largest magnitude of the row / 127. Rows of whole blocks are Q8_0, all of a row of one
 * scale.
 */
function rowwise(file: StoredTensorFile, values: TensorEntry, absmax: TensorEntry): LazyTensor {
  const [rows = 0, cols = 0] = values.shape;
  if (values.shape.length !== 2 || absmax.shape.length !== 1 || absmax.shape[0] !== rows) {
    const shapes = `[${values.shape}] with [${absmax.shape}] magnitudes`;
    throw invalidCheckpoint(file.source, `${values.name} is of ${shapes}, expected one for each row`);
  }
  const inBlocks = cols % BLOCK === 0;
  const entry = { name: values.name, dtype: inBlocks ? "Q8_0" : "F32", shape: [rows, cols] as const };
  const tensor = byRows(entry, async (first, count) => {
    const out = await file.read(values.name, { start: first * cols, count: count * cols });
    const magnitudes = await file.read(absmax.name, { start: first, count });
    for (let i = 0; i < out.length; i++) out[i] = (out[i]! * magnitudes[Math.floor(i / cols)]!) / 127;
    return out;
  });
  if (!inBlocks) return tensor;
  return {
    ...tensor,
    granule: BLOCK,
    readBlocks: async ({ start, count }) => {
      const stored = await file.readStored(values.name, { start, count });
      const first = Math.floor(start / cols);
      const last = Math.floor((start + count - 1) / cols);
      const magnitudes = await file.read(absmax.name, { start: first, count: last - first + 1 });
      const scales = Float32Array.from({ length: count / BLOCK }, (_, block) => {
        const row = Math.floor((start + block * BLOCK) / cols);
        return magnitudes[row - first]! / 127;
      });
      return { kind: "q8", values: new Int8Array(stored.buffer), scales };
    },
  };
}
