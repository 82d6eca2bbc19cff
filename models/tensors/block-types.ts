import { putNibble, type Q4Blocks, type Q8Blocks } from "../../kernels/blocks.ts";
import { fromHalf } from "../../kernels/half.ts";
import { ELEMENT_TYPES } from "./element-types.ts";

/** How a tensor is stored: in blocks of elements that cannot be parted. */
export interface BlockType {
  /** Elements of a block, along the last axis. */
  elements: number;
  /** Bytes of a block. */
  sizeBytes: number;
  /**
   * Writes the values of whole blocks to `out`.
   *
   * @param bytes (out.length / elements * sizeBytes) on a boundary of 8 bytes.
   */
  decode(bytes: Uint8Array, out: Float32Array): void;
}

/**
 * The types of GGUF that are read here, by their numbers (github.com/ggml-org/ggml, docs/gguf.md, `ggml_type`). The
 * layouts of the blocks are those of ggml's `ggml-common.h`.
 */
export const GGUF_TYPES: ReadonlyMap<number, BlockType & { name: string }> = new Map([
  [0, { name: "F32", elements: 1, ...ELEMENT_TYPES.F32 }],
  [1, { name: "F16", elements: 1, ...ELEMENT_TYPES.F16 }],
  [2, blocks("Q4_0", 32, 18, decodeQ4_0)],
  [6, blocks("Q5_0", 32, 22, decodeQ5_0)],
  [8, blocks("Q8_0", 32, 34, decodeQ8_0)],
  [12, blocks("Q4_K", 256, 144, decodeQ4_K)],
  [14, blocks("Q6_K", 256, 210, decodeQ6_K)],
  [24, { name: "I8", elements: 1, ...ELEMENT_TYPES.I8 }],
  [26, { name: "I32", elements: 1, ...ELEMENT_TYPES.I32 }],
  [27, { name: "I64", elements: 1, ...ELEMENT_TYPES.I64 }],
  [30, { name: "BF16", elements: 1, ...ELEMENT_TYPES.BF16 }],
]);

/** Blocks of Q8_0 with their scales beside them. */
export function splitQ8_0(bytes: Uint8Array): Q8Blocks {
  const count = bytes.length / 34;
  const values = new Int8Array(count * 32);
  const scales = new Float32Array(count);
  for (let b = 0; b < count; b++) {
    scales[b] = halfAt(bytes, b * 34);
    for (let i = 0; i < 32; i++) values[b * 32 + i] = bytes[b * 34 + 2 + i]!;
  }
  return { kind: "q8", values, scales };
}

/** Blocks of Q4_0 in the layout of our own. */
export function splitQ4_0(bytes: Uint8Array): Q4Blocks {
  const count = bytes.length / 18;
  const values = new Uint8Array(count * 16);
  const scales = new Uint16Array(count);
  for (let b = 0; b < count; b++) {
    scales[b] = bytes[b * 18]! | (bytes[b * 18 + 1]! << 8);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[b * 18 + 2 + i]!;
      putNibble(values, b * 32 + i, pair & 15);
      putNibble(values, b * 32 + 16 + i, pair >> 4);
    }
  }
  return { kind: "q4", values, scales };
}

/** A type whose decoder takes one block: `bytes` from `at` on to `out` from `to` on. */
function blocks(
  name: string,
  elements: number,
  sizeBytes: number,
  decodeBlock: (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void,
): BlockType & { name: string } {
  const decode = (bytes: Uint8Array, out: Float32Array) => {
    for (let b = 0; b * elements < out.length; b++) decodeBlock(bytes, b * sizeBytes, out, b * elements);
  };
  return { name, elements, sizeBytes, decode };
}

function halfAt(bytes: Uint8Array, at: number): number {
  return fromHalf(bytes[at]! | (bytes[at + 1]! << 8));
}

/** A half, then 16 bytes: element i in the low nibble of byte i, element 16 + i in its high one, about 8. */
function decodeQ4_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    out[to + i] = scale * ((pair & 15) - 8);
    out[to + 16 + i] = scale * ((pair >> 4) - 8);
  }
}

/** As Q4_0 with a fifth bit of each element in the four bytes after the half, about 16. */
function decodeQ5_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const scale = halfAt(bytes, at);
  const fifth = (i: number) => ((bytes[at + 2 + (i >> 3)]! >> (i & 7)) & 1) << 4;
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 6 + i]!;
    out[to + i] = scale * (((pair & 15) | fifth(i)) - 16);
    out[to + 16 + i] = scale * (((pair >> 4) | fifth(16 + i)) - 16);
  }
}

/** A half, then 32 signed bytes. */
function decodeQ8_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = scale * ((bytes[at + 2 + i]! << 24) >> 24);
}

/**
 * Eight groups of 32 with a scale and a minimum of 6 bits each: value = d * scale * nibble - dmin * minimum. Two halves d
 * and dmin, 12 bytes of scales and minima, then per pair of groups 32 bytes: the first in the low nibbles.
 */
function decodeQ4_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const [d, dmin] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
  const packed = (i: number) => bytes[at + 4 + i]!;
  for (let group = 0; group < 8; group++) {
    // Scales of groups 0 to 3 are the lower 6 bits of bytes 0 to 3, minima those of bytes 4 to 7; groups 4 to 7 have 4 bits
    // in bytes 8 to 11 and their upper two on top of the former.
    const early = group < 4;
    const scale = early ? packed(group) & 63 : (packed(group + 4) & 15) | ((packed(group - 4) >> 6) << 4);
    const minimum = early ? packed(group + 4) & 63 : (packed(group + 4) >> 4) | ((packed(group) >> 6) << 4);
    const from = at + 16 + (group >> 1) * 32;
    for (let i = 0; i < 32; i++) {
      const value = (bytes[from + i]! >> (4 * (group & 1))) & 15;
      out[to + group * 32 + i] = d * scale * value - dmin * minimum;
    }
  }
}

/**
 * 16 groups of 16 with a signed scale each, six bits an element about 32: 128 bytes of lower nibbles, 64 of upper pairs of
 * bits, 16 scales, a half. Each half of the block takes 64 bytes of the first and 32 of the second: quarter q of its 128
 * elements has its nibbles in bytes 32 * (q mod 2) on, low ones first, and its pairs at bit 2q.
 */
function decodeQ6_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const [half, quarter, lane] = [i >> 7, (i >> 5) & 3, i & 31];
    const low = (bytes[at + half * 64 + (quarter & 1) * 32 + lane]! >> (4 * (quarter >> 1))) & 15;
    const high = (bytes[at + 128 + half * 32 + lane]! >> (2 * quarter)) & 3;
    const scale = (bytes[at + 192 + (i >> 4)]! << 24) >> 24;
    out[to + i] = d * scale * ((low | (high << 4)) - 32);
  }
}
