import { joinBlocks, type Q4Blocks, type Q8Blocks } from "../../kernels/blocks.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { type ElementRange, elementCount, findTensor, rangeOf } from "./ranges.ts";
import type { TensorEntry, TensorFile } from "./tensor-file.ts";

/** A tensor that is made from those of a file when it is read. Ranges have been checked. */
export interface LazyTensor extends TensorEntry {
  /** Elements that a range must be whole multiples of; 1 if absent. */
  granule?: number;
  read(range: ElementRange): Promise<Float32Array>;
  /** Of dtype Q8_0 and Q4_0 alone. Null, too, for a range of which not all is stored in blocks of one kind. */
  readBlocks?(range: ElementRange): Promise<Q8Blocks | Q4Blocks | null>;
}

/** Tensors that are made from those of other files, as a file. Closing it closes those. */
export class LazyTensorFile implements TensorFile {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  readonly #files: readonly TensorFile[];

  constructor(source: string, tensors: ReadonlyMap<string, LazyTensor>, files: readonly TensorFile[]) {
    this.source = source;
    this.tensors = tensors;
    this.#files = files;
  }

  async read(name: string, range?: ElementRange): Promise<Float32Array> {
    const tensor = findTensor(this, name);
    return tensor.read(rangeOf(this.source, tensor, range, tensor.granule));
  }

  async readBlocks(name: string, range?: ElementRange): Promise<Q8Blocks | Q4Blocks | null> {
    const tensor = findTensor(this, name);
    return (await tensor.readBlocks?.(rangeOf(this.source, tensor, range, tensor.granule))) ?? null;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** Every tensor of a file as it is. */
export function lazyTensors(file: TensorFile): Map<string, LazyTensor> {
  return new Map(
    [...file.tensors.values()].map((entry) => [
      entry.name,
      {
        ...{ name: entry.name, shape: entry.shape, dtype: entry.dtype },
        read: (range) => file.read(entry.name, range),
        readBlocks: async (range) => (await file.readBlocks?.(entry.name, range)) ?? null,
      },
    ]),
  );
}

/** The same elements under another name, and in another shape of as many. */
export function renamed(tensor: LazyTensor, name: string, shape = tensor.shape): LazyTensor {
  return { ...tensor, name, shape };
}

/**
 * Matrices of equal width, one below the other. Where all of a range is stored in blocks of one kind, it is given so.
 *
 * @throws RuntimeError "invalid-checkpoint" if one has another width.
 */
export function stacked(source: string, name: string, parts: readonly LazyTensor[]): LazyTensor {
  const [first] = parts;
  const width = first!.shape.at(-1)!;
  for (const part of parts) {
    if (part.shape.length === 2 && part.shape[1] === width) continue;
    throw invalidCheckpoint(source, `${part.name} has shape [${part.shape}], expected [rows, ${width}]`);
  }
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const granule = Math.max(...parts.map((part) => part.granule ?? 1));
  /** What each part gives of a range, in order. */
  const fromParts = async <T>(
    { start, count }: ElementRange,
    give: (part: LazyTensor, range: ElementRange) => Promise<T>,
  ): Promise<T[]> => {
    const given: T[] = [];
    let before = 0;
    for (const part of parts) {
      const length = elementCount(part.shape);
      const from = Math.max(start, before);
      const to = Math.min(start + count, before + length);
      if (from < to) given.push(await give(part, { start: from - before, count: to - from }));
      before += length;
    }
    return given;
  };
  const sameType = parts.every(({ dtype }) => dtype === first!.dtype);
  return {
    name,
    shape: [rows, width],
    dtype: sameType ? first!.dtype : "F32",
    granule,
    read: async (range) => {
      const out = new Float32Array(range.count);
      let at = 0;
      for (const values of await fromParts(range, (part, own) => part.read(own))) {
        out.set(values, at);
        at += values.length;
      }
      return out;
    },
    readBlocks: async (range) => {
      const held = await fromParts(range, async (part, own) => (await part.readBlocks?.(own)) ?? null);
      return held.some((blocks) => blocks === null)
        ? null
        : joinBlocks(held.filter((blocks) => blocks !== null));
    },
  };
}

/**
 * A matrix of which whole rows are made at a time.
 *
 * @param rowsOf Gives rows [first, first + count), row-major.
 */
export function byRows(
  entry: { name: string; dtype: string; shape: readonly [rows: number, cols: number] },
  rowsOf: (first: number, count: number) => Promise<Float32Array>,
): LazyTensor {
  const cols = entry.shape[1];
  return {
    ...entry,
    read: async ({ start, count }) => {
      if (count === 0) return new Float32Array(0);
      const first = Math.floor(start / cols);
      const end = Math.ceil((start + count) / cols);
      const rows = await rowsOf(first, end - first);
      const skipped = start - first * cols;
      return skipped === 0 && rows.length === count ? rows : rows.slice(skipped, skipped + count);
    },
  };
}
