import { fromHalf, toHalf } from "./half.ts";

/** Elements that share one scale in q8 and q4, along a row. */
export const BLOCK = 32;

/** Element i is `values[i] * scales[floor(i / 32)]`. */
export interface Q8Blocks {
  kind: "q8";
  values: Int8Array;
  scales: Float32Array;
}

/**
 * Element i is `(nibble i - 8) * scale of floor(i / 32)`, as in GGUF's Q4_0. Eight elements take four bytes: byte b of them
 * holds element b in its low nibble and element 4 + b in its high one, so that one mask parts a word into two vec4.
 */
export interface Q4Blocks {
  kind: "q4";
  /** (elements / 2) */
  values: Uint8Array;
  /** (elements / 32) the bits of IEEE halves. */
  scales: Uint16Array;
}

/**
 * Quantises to q8: scale = largest magnitude / 127, values rounded to the nearest, a tie away from zero.
 *
 * @param data A multiple of 32 elements, so that no block spans two rows of a matrix with such rows.
 */
export function quantize(data: Float32Array): Q8Blocks {
  const values = new Int8Array(data.length);
  const scales = new Float32Array(data.length / BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    let largest = 0;
    for (let i = start; i < start + BLOCK; i++) largest = Math.max(largest, Math.abs(data[i]!));
    const scale = Math.fround(largest / 127);
    scales[block] = scale;
    // A block of denormals can have a scale that rounds to zero.
    if (scale === 0) continue;
    for (let i = start; i < start + BLOCK; i++) {
      const ratio = data[i]! / scale;
      values[i] = Math.max(-127, Math.min(127, Math.sign(ratio) * Math.round(Math.abs(ratio))));
    }
  }
  return { kind: "q8", values, scales };
}

/**
 * Quantises to q4: the scale is the half that is nearest to -1/8 of the element of largest magnitude, which thus takes
 * the one nibble without a counterpart, 0; every nibble is the nearest.
 *
 * @param data A multiple of 32 elements.
 */
export function quantizeQ4(data: Float32Array): Q4Blocks {
  const values = new Uint8Array(data.length / 2);
  const scales = new Uint16Array(data.length / BLOCK);
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    let extreme = 0;
    for (let i = start; i < start + BLOCK; i++) {
      if (Math.abs(data[i]!) > Math.abs(extreme)) extreme = data[i]!;
    }
    scales[block] = toHalf(-extreme / 8);
    const scale = fromHalf(scales[block]!);
    for (let i = 0; i < BLOCK; i++) {
      const steps = scale === 0 ? 0 : Math.round(data[start + i]! / scale);
      putNibble(values, start + i, Math.max(0, Math.min(15, steps + 8)));
    }
  }
  return { kind: "q4", values, scales };
}

/** The elements in full precision. */
export function dequantize(blocks: Q8Blocks | Q4Blocks): Float32Array {
  const out = new Float32Array(blocks.kind === "q8" ? blocks.values.length : 2 * blocks.values.length);
  for (const [block, stored] of blocks.scales.entries()) {
    const scale = blocks.kind === "q8" ? stored : fromHalf(stored);
    for (let i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
      out[i] = scale * (blocks.kind === "q8" ? blocks.values[i]! : nibble(blocks.values, i) - 8);
    }
  }
  return out;
}

/** Elements of each part after those of the one before; null for parts of both kinds. */
export function joinBlocks(parts: readonly (Q8Blocks | Q4Blocks)[]): Q8Blocks | Q4Blocks | null {
  const q8 = parts.filter((part) => part.kind === "q8");
  const q4 = parts.filter((part) => part.kind === "q4");
  if (q8.length === parts.length) {
    const values = join(
      Int8Array,
      q8.map((part) => part.values),
    );
    return {
      kind: "q8",
      values,
      scales: join(
        Float32Array,
        q8.map(({ scales }) => scales),
      ),
    };
  }
  if (q4.length < parts.length) return null;
  const values = join(
    Uint8Array,
    q4.map((part) => part.values),
  );
  return {
    kind: "q4",
    values,
    scales: join(
      Uint16Array,
      q4.map(({ scales }) => scales),
    ),
  };
}

function join<Data extends { length: number; set(from: Data, at: number): void }>(
  make: new (length: number) => Data,
  parts: readonly Data[],
): Data {
  const whole = new make(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Element i of packed nibbles, 0 to 15. */
export function nibble(values: Uint8Array, i: number): number {
  return (values[byteOf(i)]! >> shiftOf(i)) & 15;
}

/** Sets element i, which must have been 0. */
export function putNibble(values: Uint8Array, i: number, value: number): void {
  values[byteOf(i)]! |= value << shiftOf(i);
}

function byteOf(i: number): number {
  return ((i >> 3) << 2) + (i & 3);
}

function shiftOf(i: number): number {
  return i & 4;
}
