import { RuntimeError } from "../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../src/gpu/buffers.ts";
import type { Gpu } from "../src/gpu/device.ts";

/**
 * How the elements of a matrix lie in memory. Kernels have an entry point for each (`f16_weights`) or, where the format
 * matters little, an override constant with these numbers.
 */
export const MATRIX_FORMAT = { f32: 0, f16: 1, q8: 2 } as const;
export type MatrixFormat = keyof typeof MATRIX_FORMAT;

/** Elements that share one scale in q8, along a row. */
export const Q8_BLOCK = 32;

/** A matrix as a checkpoint gives it, row-major. `values[i] * scales[floor(i / 32)]` is element i of a q8 matrix. */
export type MatrixSource =
  | { kind: "f32"; data: Float32Array }
  | { kind: "q8"; values: Int8Array; scales: Float32Array };

/**
 * A matrix on the device, (rows, cols) row-major. Four elements are a vec4f (f32), a vec2u (f16) or a u32 (q8), the first
 * in the lowest bits. `scales` is (rows, cols / 32) f32 for q8 and a placeholder otherwise.
 */
export interface Matrix {
  rows: number;
  cols: number;
  format: MatrixFormat;
  weights: BufferView;
  scales: BufferView;
}

/**
 * Brings a matrix to the device in `format`, converting it if it is stored otherwise.
 *
 * @throws RuntimeError "shape-mismatch" if the source holds another number of elements, "invalid-argument" if a row is
 *         no whole number of vec4 (q8: of blocks).
 */
export function uploadMatrix(
  gpu: Gpu,
  spec: { label: string; rows: number; cols: number; format: MatrixFormat },
  source: MatrixSource,
): Matrix {
  const { label, rows, cols, format } = spec;
  const length = source.kind === "f32" ? source.data.length : source.values.length;
  if (length !== rows * cols) {
    throw new RuntimeError("shape-mismatch", {
      part: label,
      problem: `holds ${length} elements, expected ${rows} x ${cols}`,
    });
  }
  const multiple = format === "q8" ? Q8_BLOCK : 4;
  if (cols % multiple !== 0) {
    throw new RuntimeError("invalid-argument", {
      part: label,
      problem: `has ${cols} columns, expected a multiple of ${multiple} for ${format}`,
      remedy: "Use another weight format",
    });
  }
  const packed = packMatrix(source, format);
  return {
    rows,
    cols,
    format,
    weights: uploadBuffer(gpu, { label }, packed.weights),
    scales: uploadBuffer(gpu, { label: `${label} scales` }, packed.scales),
  };
}

/** The bytes of a matrix in `format`; `scales` is one zero unless it is q8. */
export function packMatrix(
  source: MatrixSource,
  format: MatrixFormat,
): { weights: Float32Array | Uint16Array | Uint8Array; scales: Float32Array } {
  const scales = new Float32Array(1);
  switch (format) {
    case "f32":
      return { weights: toFloats(source), scales };
    case "f16":
      return { weights: Uint16Array.from(toFloats(source), toHalf), scales };
    case "q8": {
      const blocks = source.kind === "q8" ? source : quantize(source.data);
      return { weights: bytesOf(blocks.values), scales: blocks.scales };
    }
    default:
      return format satisfies never;
  }
}

/** The elements in full precision. A view of the source where it holds them so. */
export function toFloats(source: MatrixSource): Float32Array {
  if (source.kind === "f32") return source.data;
  return Float32Array.from(source.values, (value, i) => value * source.scales[Math.floor(i / Q8_BLOCK)]!);
}

/**
 * Quantises to blocks of 32: scale = largest magnitude / 127, values rounded to the nearest, a tie away from zero.
 *
 * @param data A multiple of 32 elements, so that no block spans two rows of a matrix with such rows.
 */
export function quantize(data: Float32Array): { kind: "q8"; values: Int8Array; scales: Float32Array } {
  const values = new Int8Array(data.length);
  const scales = new Float32Array(data.length / Q8_BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const start = block * Q8_BLOCK;
    let largest = 0;
    for (let i = start; i < start + Q8_BLOCK; i++) largest = Math.max(largest, Math.abs(data[i]!));
    const scale = Math.fround(largest / 127);
    scales[block] = scale;
    // A block of denormals can have a scale that rounds to zero.
    if (scale === 0) continue;
    for (let i = start; i < start + Q8_BLOCK; i++) {
      const ratio = data[i]! / scale;
      values[i] = Math.max(-127, Math.min(127, Math.sign(ratio) * Math.round(Math.abs(ratio))));
    }
  }
  return { kind: "q8", values, scales };
}

function bytesOf(values: Int8Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

const word = new DataView(new ArrayBuffer(4));

/** The bits of the nearest IEEE half, a tie to the even one; what is too large becomes infinite. */
export function toHalf(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal half the spacing is 2^-24, whatever the exponent.
    return sign | roundToEven(Math.abs(Math.fround(value)) * 2 ** 24);
  }
  // The exponent is rebased by 112; a carry out of the rounded mantissa raises it, up to infinity.
  return sign | roundToEven((magnitude - 0x38000000) / 2 ** 13);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
}

/** The value of an IEEE half's bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
