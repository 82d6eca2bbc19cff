import { BLOCK, dequantize, type Q4Blocks, type Q8Blocks } from "../../kernels/blocks.ts";
import { toHalves } from "../../kernels/half.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { type LazyTensor, LazyTensorFile, lazyTensors } from "./lazy-tensors.ts";
import type { ElementRange, StoredTensorFile } from "./ranges.ts";
import type { TensorEntry, TensorFile } from "./tensor-file.ts";

/** What stands behind a tensor's name where it is stored in blocks: see README.md, "Our own blocks". */
export const BLOCK_SUFFIX = { q8: ".q8", q4: ".q4" } as const;
export const SCALE_SUFFIX = ".scale";

/**
 * A safetensors file in which NAME.q8 or NAME.q4 stand with NAME.scale, with NAME in their place, of dtype Q8_0 or Q4_0.
 * A file without such is returned itself.
 *
 * @throws RuntimeError "invalid-checkpoint" naming a tensor that stands there twice or whose halves do not fit.
 */
export function presentBlocks(file: StoredTensorFile): TensorFile {
  const tensors = lazyTensors(file);
  const before = tensors.size;
  for (const format of ["q8", "q4"] as const) {
    for (const values of [...file.tensors.values()]) {
      const suffix = BLOCK_SUFFIX[format];
      if (!values.name.endsWith(suffix)) continue;
      const name = values.name.slice(0, -suffix.length);
      const scale = file.tensors.get(name + SCALE_SUFFIX);
      if (!scale)
        throw invalidCheckpoint(file.source, `${values.name} stands there without ${name}${SCALE_SUFFIX}`);
      const shape = expectBlocks(file.source, format, values, scale);
      for (const part of [values.name, scale.name]) tensors.delete(part);
      if (tensors.has(name))
        throw invalidCheckpoint(file.source, `${name} stands there twice, once in blocks`);
      tensors.set(name, blockTensor(file, format, { name, shape, values: values.name, scale: scale.name }));
    }
  }
  return tensors.size === before ? file : new LazyTensorFile(file.source, tensors, [file]);
}

/** The shape that the pair stands for. */
function expectBlocks(
  source: string,
  format: "q8" | "q4",
  values: TensorEntry,
  scale: TensorEntry,
): readonly [number, number] {
  const perByte = format === "q8" ? 1 : 2;
  const [rows = 0, bytes = 0] = values.shape;
  const cols = bytes * perByte;
  const fits =
    values.shape.length === 2 &&
    cols % BLOCK === 0 &&
    scale.shape.length === 2 &&
    scale.shape[0] === rows &&
    scale.shape[1] === cols / BLOCK;
  if (!fits) {
    const shapes = `[${values.shape}] with scales of [${scale.shape}]`;
    throw invalidCheckpoint(
      source,
      `${values.name} is of ${shapes}, expected a scale for ${BLOCK} elements of a row`,
    );
  }
  const expected = format === "q8" ? (["I8", ["F32", "F16"]] as const) : (["U8", ["F16"]] as const);
  if (values.dtype !== expected[0]) {
    throw invalidCheckpoint(source, `${values.name} is of type ${values.dtype}, expected ${expected[0]}`);
  }
  if (!(expected[1] as readonly string[]).includes(scale.dtype)) {
    throw invalidCheckpoint(
      source,
      `${scale.name} is of type ${scale.dtype}, expected ${expected[1].join(" or ")}`,
    );
  }
  return [rows, cols];
}

function blockTensor(
  file: StoredTensorFile,
  format: "q8" | "q4",
  {
    name,
    shape,
    ...parts
  }: { name: string; shape: readonly [number, number]; values: string; scale: string },
): LazyTensor {
  const readBlocks = async ({ start, count }: ElementRange): Promise<Q8Blocks | Q4Blocks> => {
    const scales = await file.read(parts.scale, { start: start / BLOCK, count: count / BLOCK });
    if (format === "q8") {
      const { buffer } = await file.readStored(parts.values, { start, count });
      return { kind: "q8", values: new Int8Array(buffer), scales };
    }
    const values = await file.readStored(parts.values, { start: start / 2, count: count / 2 });
    // Exact: the scales were halves.
    return { kind: "q4", values, scales: toHalves(scales) };
  };
  return {
    name,
    shape,
    dtype: format === "q8" ? "Q8_0" : "Q4_0",
    granule: BLOCK,
    read: async (range) => dequantize(await readBlocks(range)),
    readBlocks,
  };
}
