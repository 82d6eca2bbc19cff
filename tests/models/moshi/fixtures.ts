import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** Tiny random checkpoints with outputs of the original implementation, beside the checkout; not part of it. */
const FIXTURES = new URL("../../../../shared/fixtures/moshi/", import.meta.url);

export interface FixtureTensor {
  shape: readonly number[];
  /** Row-major, of whatever type it was stored in. */
  data: Float64Array;
}

/** One set: its configuration, and the tensors of its files. */
export interface FixtureSet {
  path: string;
  json(file: string): unknown;
  tensors(file: string): (name: string) => FixtureTensor;
}

/** A suite over one set ("a/lm"): skipped, and reported so, where the sets are absent. */
export function describeWithFixture(set: string, suite: (fixture: FixtureSet) => void): void {
  const folder = new URL(`${set}/`, FIXTURES);
  if (!existsSync(folder)) {
    process.stderr.write(`skipped: ${set}: there is no ${folder.pathname}\n`);
    describe.skip(`${set} (absent)`, () => it("is compared with the original", () => {}));
    return;
  }
  describe(set, () =>
    suite({
      path: folder.pathname,
      json: (file) => JSON.parse(readFileSync(new URL(file, folder), "utf8")),
      tensors: (file) => readTensors(readFileSync(new URL(file, folder))),
    }),
  );
}

/** Takes a safetensors file apart: an 8-byte length, a JSON header, the data. Each tensor is read once. */
export function readTensors(bytes: Buffer): (name: string) => FixtureTensor {
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const known = new Map<string, FixtureTensor>();
  return (name) => {
    const before = known.get(name);
    if (before) return before;
    const entry = header[name];
    if (!entry) throw new Error(`there is no tensor ${name}`);
    const [start, end] = entry.data_offsets;
    const data = new Uint8Array(bytes.subarray(8 + headerBytes + start, 8 + headerBytes + end)).buffer;
    const tensor = { shape: entry.shape, data: values(entry.dtype, data) };
    known.set(name, tensor);
    return tensor;
  };
}

function values(dtype: string, data: ArrayBuffer): Float64Array {
  if (dtype === "F32") return Float64Array.from(new Float32Array(data));
  if (dtype === "I32") return Float64Array.from(new Int32Array(data));
  if (dtype === "I64") return Float64Array.from(new BigInt64Array(data), Number);
  if (dtype !== "BF16") throw new Error(`a tensor of type ${dtype}`);
  // BF16 is the upper half of an f32.
  const wide = Uint32Array.from(new Uint16Array(data), (half) => half << 16);
  return Float64Array.from(new Float32Array(wide.buffer));
}

/** Column t of a (rows, cols) tensor. */
export function column({ shape, data }: FixtureTensor, t: number): Int32Array {
  const [rows, cols] = shape as [number, number];
  return Int32Array.from({ length: rows }, (_, r) => data[r * cols + t]!);
}

/** Row t of a tensor: everything below its first dimension. */
export function rowOf({ shape, data }: FixtureTensor, t: number): Float64Array {
  const width = data.length / shape[0]!;
  return data.subarray(t * width, (t + 1) * width);
}

/** Fails unless every |actual - expected| <= limit. Written so that NaN fails. Say at the call where the limit comes from. */
export function expectWithin(actual: ArrayLike<number>, expected: ArrayLike<number>, limit: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i]! - expected[i]!) <= limit)) {
      expect.fail(`element ${i} is ${actual[i]}, expected ${expected[i]} within ${limit}`);
    }
  }
}
