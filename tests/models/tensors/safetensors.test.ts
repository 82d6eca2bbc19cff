import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import type { TensorFile } from "../../../models/tensors/tensor-file.ts";
import { temporaryFolder } from "../../cli/media.ts";
import { rawSafetensorsFile } from "../native/safetensors-file.ts";

const folder = temporaryFolder();

interface Stored {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** Writes a file of these tensors, in this order; the header is padded so that the data begins off every boundary. */
function write(name: string, tensors: Record<string, Stored>): string {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([tensor, { dtype, shape, bytes }]) => {
      const start = end;
      end += bytes.byteLength;
      return [tensor, { dtype, shape, data_offsets: [start, end] }];
    }),
  );
  const json = JSON.stringify(header);
  const odd = json.length % 2 === 0 ? `${json} ` : json;
  const path = join(folder, name);
  writeFileSync(
    path,
    rawSafetensorsFile(
      odd,
      Object.values(tensors).map(({ bytes }) => bytes),
    ),
  );
  return path;
}

const stored = (dtype: string, shape: readonly number[], array: ArrayBufferView): Stored => ({
  dtype,
  shape,
  bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
});

const floats = (from: number, count: number) => Float32Array.from({ length: count }, (_, i) => from + i / 8);

test("every type is read as the values that it stands for", async () => {
  const path = write("types.safetensors", {
    byte: stored("U8", [3], Uint8Array.of(0, 128, 255)),
    f32: stored("F32", [2, 2], Float32Array.of(1.5, -2, 3e38, 2 ** -140)),
    // 1, -2, 65504 (largest), 2^-24 (smallest), -0, infinity
    f16: stored("F16", [6], Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00)),
    // 1, -2, 3.140625, the largest finite one
    bf16: stored("BF16", [4], Uint16Array.of(0x3f80, 0xc000, 0x4049, 0x7f7f)),
    i8: stored("I8", [3], Int8Array.of(-128, 0, 127)),
    i32: stored("I32", [2], Int32Array.of(-(2 ** 31), 16777216)),
    u32: stored("U32", [1], Uint32Array.of(2 ** 31)),
    i64: stored("I64", [3], BigInt64Array.of(-1n, 2047n, 2n ** 40n)),
    none: stored("F32", [0, 4], new Float32Array(0)),
    scalar: stored("F32", [], Float32Array.of(7)),
  });
  const file = await openSafetensors(path);
  const read = async (name: string) => [...(await file.read(name))];
  expect(await read("byte")).toEqual([0, 128, 255]);
  expect(await read("f32")).toEqual([1.5, -2, 3e38, 2 ** -140].map(Math.fround));
  expect(await read("f16")).toEqual([1, -2, 65504, 2 ** -24, -0, Number.POSITIVE_INFINITY]);
  expect(await read("bf16")).toEqual([1, -2, 3.140625, 2 ** 127 * (2 - 2 ** -7)]);
  expect(await read("i8")).toEqual([-128, 0, 127]);
  expect(await read("i32")).toEqual([-(2 ** 31), 2 ** 24]);
  expect(await read("u32")).toEqual([2 ** 31]);
  expect(await read("i64")).toEqual([-1, 2047, 2 ** 40]);
  expect(await read("none")).toEqual([]);
  expect(await read("scalar")).toEqual([7]);
  expect(file.tensors.get("f32")).toMatchObject({ name: "f32", dtype: "F32", shape: [2, 2] });
  await file.close();
});

test("a range is that part of the whole, across the pieces in which it is decoded", async () => {
  const length = 2 ** 19 + 77;
  const values = Uint16Array.from({ length }, (_, i) => (i * 40503) & 0x7bff);
  const file = await openSafetensors(write("range.safetensors", { a: stored("F16", [length], values) }));
  const whole = await file.read("a");
  expect(whole.length).toBe(length);
  for (const [start, count] of [
    [0, 1],
    [length - 1, 1],
    [3, 2 ** 18],
    [2 ** 18 - 1, 2],
    [1, length - 1],
    [5, 0],
  ] as const) {
    // Buffers, because half a million values in `toEqual` take a minute.
    const part = Buffer.from((await file.read("a", { start, count })).buffer);
    expect(part.equals(Buffer.from(whole.slice(start, start + count).buffer))).toBe(true);
  }
  await file.close();
});

test.each<[string, string, { start: number; count: number } | undefined, RegExp]>([
  ["an unknown name", "b", undefined, /ranges\.safetensors: has no tensor b/],
  ["a range past the end", "a", { start: 2, count: 3 }, /a has 4 elements, 3 from 2 on/],
  ["a negative start", "a", { start: -1, count: 1 }, /a has 4 elements/],
  ["a fraction", "a", { start: 0.5, count: 1 }, /a has 4 elements/],
  ["a count that is no number", "a", { start: 0, count: Number.NaN }, /a has 4 elements/],
])("%s is refused", async (_, name, range, message) => {
  const file = await openSafetensors(
    write("ranges.safetensors", { a: stored("F32", [2, 2], new Float32Array(4)) }),
  );
  await expect(file.read(name, range)).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(message),
  });
  await file.close();
});

test("a file that shrinks after it was opened is named, not trusted", async () => {
  const path = write("shrinks.safetensors", { a: stored("F32", [100], new Float32Array(100)) });
  const file = await openSafetensors(path);
  truncateSync(path, 200);
  await expect(file.read("a")).rejects.toThrow(/shrinks\.safetensors: ends at byte 200/);
  await file.close();
});

test("20 GB are opened and read in parts, with the header alone in memory", async () => {
  const elements = 5 * 2 ** 30;
  const header = JSON.stringify({
    big: { dtype: "F32", shape: [5, 2 ** 30], data_offsets: [0, elements * 4] },
  });
  const path = join(folder, "big.safetensors");
  writeFileSync(path, rawSafetensorsFile(header, []));
  // Sparse: takes no room on the disk.
  truncateSync(path, 8 + header.length + elements * 4);
  const before = process.memoryUsage().rss;
  const file = await openSafetensors(path);
  expect(await file.read("big", { start: elements - 3, count: 3 })).toEqual(new Float32Array(3));
  await expect(file.read("big")).rejects.toThrow(
    /big: 5368709120 elements at once, expected at most 268435456/,
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
  await file.close();
});

test.each([
  ["a folder", "."],
  ["nothing", "nowhere.safetensors"],
])("%s is a missing file", async (_, name) => {
  await expect(openSafetensors(join(folder, name))).rejects.toMatchObject({ code: "missing-file" });
});

async function openIndex(weightMap: unknown): Promise<TensorFile> {
  const path = join(folder, "model.safetensors.index.json");
  const text =
    typeof weightMap === "string" ? weightMap : JSON.stringify({ metadata: {}, weight_map: weightMap });
  writeFileSync(path, text);
  return openSafetensors(path);
}

test("a checkpoint in several files is one", async () => {
  write("model-00001-of-00002.safetensors", {
    a: stored("F32", [4], floats(0, 4)),
    b: stored("F32", [2, 2], floats(10, 4)),
  });
  write("model-00002-of-00002.safetensors", { c: stored("BF16", [1], Uint16Array.of(0x4000)) });
  const file = await openIndex({
    c: "model-00002-of-00002.safetensors",
    a: "model-00001-of-00002.safetensors",
    b: "model-00001-of-00002.safetensors",
  });
  expect([...file.tensors.keys()].sort()).toEqual(["a", "b", "c"]);
  expect(await file.read("b", { start: 1, count: 2 })).toEqual(Float32Array.of(10.125, 10.25));
  expect(await file.read("c")).toEqual(Float32Array.of(2));
  await expect(file.read("d")).rejects.toThrow(/index\.json: has no tensor d/);
  await file.close();
});

test.each<[string, unknown, string, RegExp]>([
  ["that is not JSON", "{", "invalid-checkpoint", /is not JSON/],
  ["without a map", "[]", "invalid-checkpoint", /has no weight_map/],
  [
    "that leaves its folder",
    { a: "../a.safetensors" },
    "invalid-checkpoint",
    /places a in no plain file name/,
  ],
  ["that names a number", { a: 1 }, "invalid-checkpoint", /places a in no plain file name/],
  ["whose file is missing", { a: "gone.safetensors" }, "missing-file", /gone\.safetensors cannot be read/],
  [
    "whose file has no such tensor",
    { z: "model-00002-of-00002.safetensors" },
    "invalid-checkpoint",
    /00002\.safetensors: has no tensor z/,
  ],
  [
    "of too many files",
    Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`t${i}`, `f${i}`])),
    "invalid-checkpoint",
    /names 257 files/,
  ],
])("an index %s is refused", async (_, weightMap, code, message) => {
  await expect(openIndex(weightMap)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});
