import { RuntimeError } from "../src/core/errors.ts";
import { type BufferView, createBuffer } from "../src/gpu/buffers.ts";
import type { Gpu } from "../src/gpu/device.ts";
import { BLOCK, dequantize, type Q4Blocks, type Q8Blocks, quantize, quantizeQ4 } from "./blocks.ts";
import { fromHalf, toHalves } from "./half.ts";

export { quantize, quantizeQ4 } from "./blocks.ts";
export { fromHalf, toHalf } from "./half.ts";

/**
 * How the elements of a matrix lie in memory. Kernels have an entry point for each (`f16_weights`) or, where the format
 * matters little, an override constant with these numbers.
 */
export const MATRIX_FORMAT = { f32: 0, f16: 1, q8: 2, q4: 3 } as const;
export type MatrixFormat = keyof typeof MATRIX_FORMAT;

/** Elements that share one scale in q8 and q4, along a row. */
export const Q8_BLOCK = BLOCK;

/** A matrix as a checkpoint gives it, row-major. */
export type MatrixSource = { kind: "f32"; data: Float32Array } | Q8Blocks | Q4Blocks;

/** Some of a matrix's rows, in buffers of their own. */
export interface MatrixPart {
  firstRow: number;
  rows: number;
  /** Four elements are a vec4f (f32), a vec2u (f16) or a u32 (q8), the first in the lowest bits. q4: see `Q4Blocks`. */
  weights: BufferView;
  /** (rows, cols / 32): f32 for q8, halves for q4, two in a u32 with the first in the lower bits. Else a placeholder. */
  scales: BufferView;
}

/** A matrix on the device, (rows, cols) row-major. */
export interface Matrix {
  rows: number;
  cols: number;
  format: MatrixFormat;
  /** In order, without gaps. More than one where all rows would be more than the device binds in one buffer. */
  parts: readonly MatrixPart[];
}

export interface MatrixSpec {
  /** The tensor's name, for messages. */
  label: string;
  rows: number;
  cols: number;
  format: MatrixFormat;
  /** What one part takes at most. Default: what the device binds. */
  maxPartBytes?: number;
  /**
   * Elements that `streamMatrix` converts at a time, at least two rows of them. Default 2^20: with the packed copy and the
   * device's own staging some 12 MiB of host memory, however large the matrix is.
   */
  sliceElements?: number;
}

const SLICE_ELEMENTS = 2 ** 20;

/** Bits that one element takes, its share of the scale included. */
export const MATRIX_BITS: Readonly<Record<MatrixFormat, number>> = { f32: 32, f16: 16, q8: 9, q4: 4.5 };

const ELEMENT_BITS: Readonly<Record<MatrixFormat, number>> = { f32: 32, f16: 16, q8: 8, q4: 4 };

/** What the columns of a matrix must be a multiple of. */
export function columnMultiple(format: MatrixFormat): number {
  return hasScales(format) ? BLOCK : 4;
}

/**
 * Brings a matrix to the device in `format`, converting it if it is stored otherwise.
 *
 * @throws RuntimeError "shape-mismatch" if the source holds another number of elements, "invalid-argument" if a row is
 *         no whole number of vec4 (q8, q4: of blocks), "invalid-checkpoint" if an element is not finite.
 */
export function uploadMatrix(gpu: Gpu, spec: MatrixSpec, source: MatrixSource): Matrix {
  expectElements(spec, source, spec.rows);
  const matrix = createMatrix(gpu, spec);
  for (const part of matrix.parts) {
    const rows = sliceOf(source, part.firstRow * spec.cols, part.rows * spec.cols);
    writeRows(gpu, spec, part, part.firstRow, rows);
  }
  return matrix;
}

/**
 * Brings a matrix to the device slice by slice, so that host memory stays small. What has been written is waited for
 * before the next slice is asked for.
 *
 * @param rowsFrom Gives rows [first, first + count); `count` is even, but for the last of a part.
 * @throws RuntimeError as `uploadMatrix`, and whatever `rowsFrom` throws; the buffers are then freed.
 */
export async function streamMatrix(
  gpu: Gpu,
  spec: MatrixSpec,
  rowsFrom: (first: number, count: number) => Promise<MatrixSource>,
): Promise<Matrix> {
  const matrix = createMatrix(gpu, spec);
  // Two rows of odd many blocks are a whole number of words of halves.
  const step = Math.max(2, 2 * Math.floor((spec.sliceElements ?? SLICE_ELEMENTS) / (2 * spec.cols)));
  try {
    for (const part of matrix.parts) {
      const end = part.firstRow + part.rows;
      for (let first = part.firstRow; first < end; first += step) {
        const count = Math.min(step, end - first);
        const source = await rowsFrom(first, count);
        expectElements(spec, source, count);
        writeRows(gpu, spec, part, first, source);
        await gpu.device.queue.onSubmittedWorkDone();
      }
    }
  } catch (error) {
    for (const { buffer } of matrix.parts.flatMap(({ weights, scales }) => [weights, scales]))
      buffer.destroy();
    throw error;
  }
  return matrix;
}

/**
 * The one part of a matrix, for a kernel that takes no more.
 *
 * @param formats What the kernel reads. Default: all.
 * @throws RuntimeError "gpu-out-of-memory" if the matrix has more parts, "invalid-argument" for another format.
 */
export function singlePart(label: string, matrix: Matrix, formats?: readonly MatrixFormat[]): MatrixPart {
  const [part, ...more] = matrix.parts;
  if (!part || more.length > 0) {
    throw new RuntimeError("gpu-out-of-memory", {
      part: label,
      problem: `takes ${matrix.parts.length} buffers, which this kernel cannot`,
      remedy: "Use a smaller model, another weight format, or the CPU backend",
    });
  }
  if (formats && !formats.includes(matrix.format)) {
    const problem = `is held in ${matrix.format}, this kernel reads ${formats.join(", ")}`;
    throw new RuntimeError("invalid-argument", { part: label, problem });
  }
  return part;
}

/** The bytes of a matrix in `format`; `scales` is one zero unless it is q8 or q4. */
export function packMatrix(
  source: MatrixSource,
  format: MatrixFormat,
): { weights: Float32Array | Uint16Array | Uint8Array; scales: Float32Array | Uint16Array } {
  const scales = new Float32Array(1);
  switch (format) {
    case "f32":
      return { weights: toFloats(source), scales };
    case "f16":
      return { weights: toHalves(toFloats(source)), scales };
    case "q8": {
      const blocks = source.kind === "q8" ? source : quantize(toFloats(source));
      const { buffer, byteOffset, byteLength } = blocks.values;
      return { weights: new Uint8Array(buffer, byteOffset, byteLength), scales: blocks.scales };
    }
    case "q4": {
      const blocks = source.kind === "q4" ? source : quantizeQ4(toFloats(source));
      return { weights: blocks.values, scales: blocks.scales };
    }
    default:
      return format satisfies never;
  }
}

/** The elements in full precision. A view of the source where it holds them so. */
export function toFloats(source: MatrixSource): Float32Array {
  return source.kind === "f32" ? source.data : dequantize(source);
}

function createMatrix(gpu: Gpu, spec: MatrixSpec): Matrix {
  const { label, rows, cols, format } = spec;
  if (cols % columnMultiple(format) !== 0) {
    throw new RuntimeError("invalid-argument", {
      part: label,
      problem: `has ${cols} columns, expected a multiple of ${columnMultiple(format)} for ${format}`,
      remedy: "Use another weight format",
    });
  }
  const rowBytes = (cols * ELEMENT_BITS[format]) / 8;
  const scaleBytes = (cols * (MATRIX_BITS[format] - ELEMENT_BITS[format])) / 8;
  const limit = spec.maxPartBytes ?? gpu.device.limits.maxStorageBufferBindingSize;
  const partRows = Math.min(rows, Math.max(1, Math.floor((limit - 16) / rowBytes)));
  const parts: MatrixPart[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += partRows) {
    const count = Math.min(partRows, rows - firstRow);
    const name = partRows < rows ? `${label} rows ${firstRow} to ${firstRow + count - 1}` : label;
    parts.push({
      firstRow,
      rows: count,
      weights: createBuffer(gpu, { label: name, sizeBytes: count * rowBytes }),
      scales: createBuffer(gpu, { label: `${name} scales`, sizeBytes: count * scaleBytes }),
    });
  }
  return { rows, cols, format, parts };
}

function expectElements({ label, cols }: MatrixSpec, source: MatrixSource, rows: number): void {
  const length = elementsOf(source);
  if (length === rows * cols) return;
  throw new RuntimeError("shape-mismatch", {
    part: label,
    problem: `holds ${length} elements, expected ${rows} x ${cols}`,
  });
}

/** Converts `source`, rows of the matrix from `firstRow` on and all of them of `part`, and writes them to their place. */
function writeRows(
  gpu: Gpu,
  { label, cols, format }: MatrixSpec,
  part: MatrixPart,
  firstRow: number,
  source: MatrixSource,
): void {
  const firstElement = firstRow * cols;
  expectFinite(label, source, firstElement);
  const { weights, scales } = packMatrix(source, format);
  if (weights instanceof Uint16Array) expectFiniteHalves(label, weights, firstElement);
  writeAt(gpu, part.weights, ((firstRow - part.firstRow) * cols * ELEMENT_BITS[format]) / 8, weights);
  if (!hasScales(format)) return;
  if (scales instanceof Uint16Array) expectFiniteHalves(label, scales, firstElement, BLOCK);
  const block = ((firstRow - part.firstRow) * cols) / BLOCK;
  writeAt(gpu, part.scales, block * scales.BYTES_PER_ELEMENT, scales);
}

/** @param offset Of the view, in bytes; a multiple of 4. */
function writeAt(
  gpu: Gpu,
  view: BufferView,
  offset: number,
  data: Float32Array | Uint16Array | Uint8Array,
): void {
  // Odd many halves: the word's other half is past the last one, and what is past it is zero.
  const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
  let bytes: Uint8Array = padded;
  if (padded.byteLength === data.byteLength)
    bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  else padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  gpu.device.queue.writeBuffer(view.buffer, view.offset + offset, bytes);
}

/** Elements of a source, as a view. Both numbers are whole blocks where it has blocks. */
function sliceOf(source: MatrixSource, start: number, count: number): MatrixSource {
  const end = start + count;
  switch (source.kind) {
    case "f32":
      return { kind: "f32", data: source.data.subarray(start, end) };
    case "q8":
      return {
        kind: "q8",
        values: source.values.subarray(start, end),
        scales: source.scales.subarray(start / BLOCK, end / BLOCK),
      };
    case "q4":
      return {
        kind: "q4",
        values: source.values.subarray(start / 2, end / 2),
        scales: source.scales.subarray(start / BLOCK, end / BLOCK),
      };
    default:
      return source satisfies never;
  }
}

function elementsOf(source: MatrixSource): number {
  return source.kind === "f32" ? source.data.length : source.scales.length * BLOCK;
}

function hasScales(format: MatrixFormat): boolean {
  return format === "q8" || format === "q4";
}

/** @throws RuntimeError "invalid-checkpoint" naming the first element, or scale, that is not finite. */
function expectFinite(label: string, source: MatrixSource, firstElement: number): void {
  if (source.kind === "q4") {
    expectFiniteHalves(label, source.scales, firstElement, BLOCK);
    return;
  }
  const [values, each] = source.kind === "f32" ? [source.data, 1] : [source.scales, BLOCK];
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) throw notFinite(label, values[i]!, firstElement + i * each);
  }
}

function expectFiniteHalves(label: string, halves: Uint16Array, firstElement: number, each = 1): void {
  for (let i = 0; i < halves.length; i++) {
    if ((halves[i]! & 0x7c00) === 0x7c00)
      throw notFinite(label, fromHalf(halves[i]!), firstElement + i * each);
  }
}

function notFinite(label: string, value: number, element: number): RuntimeError {
  return new RuntimeError("invalid-checkpoint", {
    part: label,
    problem: `holds ${value} at element ${element}`,
    remedy: "Fetch the checkpoint again, or use f32 if its weights are beyond the range of a half",
  });
}
