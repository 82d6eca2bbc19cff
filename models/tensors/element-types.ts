import { fromHalf } from "../../kernels/matrix.ts";

/** An element type of a file: how wide it is, and how its values are had in f32. */
export interface ElementType {
  sizeBytes: number;
  /**
   * Writes the values of `bytes`, little-endian, to `out`. An integer beyond 2^24 becomes the nearest f32.
   *
   * @param bytes (out.length * sizeBytes) on a boundary of 8 bytes.
   */
  decode(bytes: Uint8Array, out: Float32Array): void;
}

/** The element types of safetensors that are read here, under the names that stand in its header. */
export const ELEMENT_TYPES = {
  F32: { sizeBytes: 4, decode: (bytes, out) => out.set(viewOf(Float32Array, bytes)) },
  F16: { sizeBytes: 2, decode: (bytes, out) => decodeHalves(viewOf(Uint16Array, bytes), out) },
  BF16: { sizeBytes: 2, decode: (bytes, out) => decodeBfloats(viewOf(Uint16Array, bytes), out) },
  I8: { sizeBytes: 1, decode: (bytes, out) => out.set(viewOf(Int8Array, bytes)) },
  U8: { sizeBytes: 1, decode: (bytes, out) => out.set(bytes) },
  I32: { sizeBytes: 4, decode: (bytes, out) => out.set(viewOf(Int32Array, bytes)) },
  U32: { sizeBytes: 4, decode: (bytes, out) => out.set(viewOf(Uint32Array, bytes)) },
  I64: { sizeBytes: 8, decode: (bytes, out) => decodeLongs(viewOf(BigInt64Array, bytes), out) },
} as const satisfies Record<string, ElementType>;

export type ElementTypeName = keyof typeof ELEMENT_TYPES;

export function isElementType(name: string): name is ElementTypeName {
  return Object.hasOwn(ELEMENT_TYPES, name);
}

/** IEEE 754 binary16 to f32. */
export function float32FromFloat16(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  decodeHalves(halves, out);
  return out;
}

interface ViewConstructor<View> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): View;
}

function viewOf<View>(kind: ViewConstructor<View>, bytes: Uint8Array): View {
  return new kind(bytes.buffer, bytes.byteOffset, bytes.byteLength / kind.BYTES_PER_ELEMENT);
}

/** Every half's value by its bits: one look-up in place of some ten operations. */
let halfValues: Float32Array | null = null;

function decodeHalves(halves: Uint16Array, out: Float32Array): void {
  halfValues ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => fromHalf(bits));
  for (let i = 0; i < halves.length; i++) out[i] = halfValues[halves[i]!]!;
}

/** A bfloat16 is the upper half of an f32. */
function decodeBfloats(values: Uint16Array, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < values.length; i++) words[i] = values[i]! << 16;
}

function decodeLongs(values: BigInt64Array, out: Float32Array): void {
  for (let i = 0; i < values.length; i++) out[i] = Number(values[i]!);
}
