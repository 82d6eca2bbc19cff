import {
  BLOCK,
  dequantize,
  type Q4Blocks,
  type Q8Blocks,
  quantize,
  quantizeQ4,
} from "../../kernels/blocks.ts";
import { toHalves } from "../../kernels/half.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import type { ElementTypeName } from "./element-types.ts";
import { elementCount } from "./ranges.ts";
import { type WrittenTensor, writeSafetensors } from "./safetensors-writer.ts";
import { BLOCK_SUFFIX, SCALE_SUFFIX } from "./stored-blocks.ts";
import type { TensorEntry, TensorFile } from "./tensor-file.ts";

export type BlockFormat = "q8" | "q4";

/** What became of one tensor. */
export interface QuantizedTensor {
  name: string;
  shape: readonly number[];
  /** As it is written: in blocks, or the type it had. */
  format: BlockFormat | "BF16" | "F16" | "F32";
  /** Largest difference of an element from what it was; 0 where nothing was rounded. */
  maxError: number;
  /** Root of the sum of squared differences over that of squared elements. */
  relativeError: number;
  sizeBytes: number;
}

export interface QuantizeOptions {
  format: BlockFormat;
  /** Whether a matrix with rows of whole blocks is to be rounded. */
  isChosen(entry: TensorEntry): boolean;
  /** Called when a tensor has been written. */
  done?(tensor: QuantizedTensor): void;
}

/** Elements that are held at a time: whole blocks. */
const PIECE_ELEMENTS = 2 ** 20;

/**
 * Writes a file's tensors to a safetensors file, the chosen ones in blocks of 32 (README.md, "Our own blocks") and the others
 * without loss. A tensor that is in blocks of that format already, or is not chosen, keeps them.
 *
 * @param path There must be no such file.
 * @throws RuntimeError "invalid-checkpoint" naming a tensor with an element that is not finite, "output-failed". What was
 *   written stays: the caller removes it.
 */
export async function quantizeTensors(
  file: TensorFile,
  path: string,
  options: QuantizeOptions,
): Promise<QuantizedTensor[]> {
  const results: QuantizedTensor[] = [];
  const writers: WrittenTensor[] = [];
  // By name, so that the same tensors make the same file wherever they come from.
  const entries = [...file.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const tensor: QuantizedTensor = {
      name: entry.name,
      shape: entry.shape,
      format: formatOf(entry, options),
      maxError: 0,
      relativeError: 0,
      sizeBytes: 0,
    };
    const done = (sizeBytes: number) => {
      tensor.sizeBytes += sizeBytes;
      results.push(tensor);
      options.done?.(tensor);
    };
    if (tensor.format === "q8" || tensor.format === "q4") {
      writers.push(...blockWriters(file, tensor, tensor.format, done));
    } else writers.push(plainWriter(file, tensor, tensor.format, done));
  }
  await writeSafetensors(path, writers);
  return results;
}

function formatOf(entry: TensorEntry, { format, isChosen }: QuantizeOptions): QuantizedTensor["format"] {
  const held = { Q8_0: "q8", Q4_0: "q4" }[entry.dtype] as BlockFormat | undefined;
  const fits = entry.shape.length === 2 && entry.shape[1]! % BLOCK === 0;
  if (fits && isChosen(entry)) return held === "q4" ? held : format;
  if (held !== undefined) return held;
  return entry.dtype === "BF16" || entry.dtype === "F16" ? entry.dtype : "F32";
}

/** The values, then the scales that came up with them: a 32nd as many. */
function blockWriters(
  file: TensorFile,
  tensor: QuantizedTensor,
  format: BlockFormat,
  done: (sizeBytes: number) => void,
): WrittenTensor[] {
  const [rows, cols] = [tensor.shape[0]!, tensor.shape[1]!];
  const scales: Uint8Array[] = [];
  async function* values() {
    const errors = new ErrorSum();
    for (const range of pieces(tensor.shape)) {
      const blocks = await blocksOf(file, tensor.name, format, range, errors);
      scales.push(bytesOf(blocks.scales));
      tensor.sizeBytes += blocks.values.byteLength;
      yield bytesOf(blocks.values);
    }
    tensor.maxError = errors.largest;
    tensor.relativeError = errors.relative;
  }
  async function* scalesAfter() {
    yield* scales;
    done(scales.reduce((sum, { byteLength }) => sum + byteLength, 0));
    scales.length = 0;
  }
  const isQ8 = format === "q8";
  return [
    {
      name: tensor.name + BLOCK_SUFFIX[format],
      dtype: isQ8 ? "I8" : "U8",
      shape: [rows, isQ8 ? cols : cols / 2],
      pieces: values,
    },
    {
      name: tensor.name + SCALE_SUFFIX,
      dtype: isQ8 ? "F32" : "F16",
      shape: [rows, cols / BLOCK],
      pieces: scalesAfter,
    },
  ];
}

async function blocksOf(
  file: TensorFile,
  name: string,
  format: BlockFormat,
  range: { start: number; count: number },
  errors: ErrorSum,
): Promise<Q8Blocks | Q4Blocks> {
  const held = await file.readBlocks?.(name, range);
  if (held?.kind === format) return held;
  const data = await file.read(name, range);
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw invalidCheckpoint(file.source, `${name} holds ${data[bad]} at element ${range.start + bad}`);
  }
  const blocks = format === "q8" ? quantize(data) : quantizeQ4(data);
  const back = dequantize(blocks);
  const lost = back.findIndex((value) => !Number.isFinite(value));
  if (lost >= 0) {
    const element = `${data[lost]} at element ${range.start + lost}`;
    throw invalidCheckpoint(file.source, `${name} holds ${element}, which is beyond ${format}`);
  }
  errors.add(data, back);
  return blocks;
}

function plainWriter(
  file: TensorFile,
  tensor: QuantizedTensor,
  format: "BF16" | "F16" | "F32",
  done: (sizeBytes: number) => void,
): WrittenTensor {
  async function* values() {
    let sizeBytes = 0;
    for (const range of pieces(tensor.shape)) {
      const bytes = encode(await file.read(tensor.name, range), format);
      sizeBytes += bytes.byteLength;
      yield bytes;
    }
    done(sizeBytes);
  }
  return { name: tensor.name, dtype: format satisfies ElementTypeName, shape: tensor.shape, pieces: values };
}

/** Exact for values that were of this type. */
function encode(values: Float32Array, format: "BF16" | "F16" | "F32"): Uint8Array {
  if (format === "F32") return bytesOf(values);
  if (format === "F16") return bytesOf(toHalves(values));
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return bytesOf(Uint16Array.from(words, (word) => word >>> 16));
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function* pieces(shape: readonly number[]): Generator<{ start: number; count: number }> {
  const length = elementCount(shape);
  for (let start = 0; start < length; start += PIECE_ELEMENTS) {
    yield { start, count: Math.min(PIECE_ELEMENTS, length - start) };
  }
}

class ErrorSum {
  largest = 0;
  #errors = 0;
  #values = 0;

  add(data: Float32Array, back: Float32Array): void {
    for (let i = 0; i < data.length; i++) {
      const error = Math.abs(back[i]! - data[i]!);
      if (error > this.largest) this.largest = error;
      this.#errors += error * error;
      this.#values += data[i]! * data[i]!;
    }
  }

  get relative(): number {
    return this.#values === 0 ? 0 : Math.sqrt(this.#errors / this.#values);
  }
}
