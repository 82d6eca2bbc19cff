import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadCheckpoint, tensorShapes } from "../../../models/native/checkpoint.ts";
import { quantizeQ8, toF32 } from "../../../models/native/quantize.ts";
import { parseSafetensors } from "../../../models/native/safetensors.ts";
import { float32FromFloat16 } from "../../../models/tensors/element-types.ts";
import {
  randomStoredTensors,
  randomTensors,
  seededUniform,
  TINY_CONFIG,
  writeRandomCheckpoint,
} from "./random-checkpoint.ts";
import { rawSafetensorsFile, type StoredTensor, safetensorsFile, storeF32 } from "./safetensors-file.ts";

let good: string;
let directory: string;

beforeAll(async () => {
  const root = await mkdtemp(join(tmpdir(), "checkpoint-"));
  good = join(root, "good");
  directory = join(root, "changed");
  await writeRandomCheckpoint(good);
});
afterAll(() => rm(join(good, ".."), { recursive: true }));

/** Writes the good checkpoint with other tensors and loads it. */
async function loadWith(change: (tensors: Map<string, StoredTensor>) => void) {
  const tensors = randomStoredTensors(TINY_CONFIG, 1);
  change(tensors);
  return loadFile(safetensorsFile(tensors));
}

async function loadFile(file: Uint8Array) {
  await cp(good, directory, { recursive: true });
  await writeFile(join(directory, "model.safetensors"), file);
  return loadCheckpoint(directory);
}

test("a written checkpoint is read back, value for value", async () => {
  const checkpoint = await loadCheckpoint(good);
  expect(checkpoint.config).toEqual(TINY_CONFIG);
  const expected = randomTensors(TINY_CONFIG, 1);
  expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, values] of expected) expect(toF32(checkpoint.tensors.get(name)!).data).toEqual(values);
});

test("the shapes are those of the README, by hand for the tiny model", () => {
  const shapes = tensorShapes(TINY_CONFIG);
  expect(shapes.get("layers.1.qkv")).toEqual([64, 32]);
  expect(shapes.get("layers.0.gate_up")).toEqual([128, 32]);
  expect(shapes.get("video.fold.0.weight")).toEqual([16, 48]);
  expect(shapes.get("video.fold.2.weight")).toEqual([32, 64]);
  expect(shapes.has("video.fold.2.norm")).toBe(false);
  expect(shapes.get("embed.tile")).toEqual([2, 32]);
});

test("f16 values are widened exactly", () => {
  // 1, -2, 65504 (largest), 2^-24 (smallest subnormal), -0, 1/3 rounded
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x3555);
  expect([...float32FromFloat16(halves)]).toEqual([1, -2, 65504, 2 ** -24, -0, 0.333251953125]);
});

test("f16 and q8 tensors are loaded", async () => {
  const uniform = seededUniform(3);
  const matrix = storeF32(
    [64, 32],
    Float32Array.from({ length: 2048 }, () => uniform()),
  );
  const q8 = quantizeQ8({
    kind: "f32",
    shape: [64, 32],
    data: new Float32Array(matrix.bytes.buffer as ArrayBuffer),
  });
  const checkpoint = await loadWith((tensors) => {
    tensors.set("out_norm", {
      dtype: "F16",
      shape: [32],
      bytes: new Uint8Array(new Uint16Array(32).fill(0x3e00).buffer),
    });
    tensors.delete("layers.0.qkv");
    tensors.set("layers.0.qkv.q8", {
      dtype: "I8",
      shape: [64, 32],
      bytes: new Uint8Array(q8.values.buffer as ArrayBuffer),
    });
    tensors.set("layers.0.qkv.scale", storeF32([64, 1], q8.scales));
  });
  expect(toF32(checkpoint.tensors.get("out_norm")!).data).toEqual(new Float32Array(32).fill(1.5));
  expect(checkpoint.tensors.get("layers.0.qkv")).toEqual(q8);
});

test("q8 is within half a step of the value, and exact by hand", () => {
  const uniform = seededUniform(4);
  const data = Float32Array.from({ length: 128 }, () => uniform());
  const back = toF32(quantizeQ8({ kind: "f32", shape: [2, 64], data })).data;
  for (let block = 0; block < 4; block++) {
    const slice = data.subarray(block * 32, block * 32 + 32);
    const step = Math.max(...slice.map(Math.abs)) / 127;
    for (const [i, value] of slice.entries()) {
      expect(Math.abs(back[block * 32 + i]! - value)).toBeLessThanOrEqual(step * 0.5001);
    }
  }
  const hand = new Float32Array(32);
  hand.set([127, -63.5, 1.4, 0]);
  const q8 = quantizeQ8({ kind: "f32", shape: [1, 32], data: hand });
  expect([...q8.values.subarray(0, 4), ...q8.scales]).toEqual([127, -64, 1, 0, 1]);
  expect(quantizeQ8({ kind: "f32", shape: [1, 32], data: new Float32Array(32) }).scales[0]).toBe(0);
});

test.each<[string, (tensors: Map<string, StoredTensor>) => void, RegExp]>([
  ["a missing tensor", (t) => t.delete("layers.1.down"), /layers\.1\.down is missing/],
  [
    "a wrong shape",
    (t) => t.set("out_norm", storeF32([31], new Float32Array(31))),
    /out_norm has shape \[31\], expected \[32\]/,
  ],
  [
    "a swapped shape",
    (t) => t.set("layers.0.down", storeF32([64, 32], new Float32Array(2048))),
    /layers\.0\.down has shape \[64,32\], expected \[32,64\]/,
  ],
  [
    "an unknown tensor",
    (t) => t.set("extra", storeF32([1], new Float32Array(1))),
    /extra is not part of the model/,
  ],
  [
    "NaN",
    (t) => t.set("out_norm", storeF32([32], new Float32Array(32).fill(Number.NaN, 7))),
    /out_norm holds NaN at element 7/,
  ],
  [
    "infinity",
    (t) => t.set("audio.norm", storeF32([32], new Float32Array(32).fill(Number.POSITIVE_INFINITY))),
    /audio\.norm holds Infinity at element 0/,
  ],
  [
    "integers for floats",
    (t) => t.set("out_norm", { dtype: "I8", shape: [32], bytes: new Uint8Array(32) }),
    /out_norm is of type I8/,
  ],
  [
    "q8 beside f32",
    (t) => t.set("layers.0.qkv.q8", { dtype: "I8", shape: [64, 32], bytes: new Uint8Array(2048) }),
    /layers\.0\.qkv stands there twice/,
  ],
  [
    "q8 without its scales",
    (t) => {
      t.delete("layers.0.qkv");
      t.set("layers.0.qkv.q8", { dtype: "I8", shape: [64, 32], bytes: new Uint8Array(2048) });
    },
    /layers\.0\.qkv\.scale is missing/,
  ],
])("a checkpoint with %s is refused by name", async (_, change, message) => {
  await expect(loadWith(change)).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(message),
  });
});

test("several faults are named in one message", async () => {
  const failure = loadWith((tensors) => {
    tensors.delete("embed.role");
    tensors.delete("head.bias");
  });
  await expect(failure).rejects.toThrow(/embed\.role is missing; head\.bias is missing/);
});

const header = (entry: Record<string, unknown>) => JSON.stringify(entry);
const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

test.each<[string, Uint8Array, RegExp]>([
  ["of five bytes", new Uint8Array(5), /5 bytes long, too short/],
  [
    "with a huge header",
    Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255),
    /declares a header of 18446744073709551615 bytes/,
  ],
  ["that ends in its header", rawSafetensorsFile(header({}), []).subarray(0, 9), /ends after 1/],
  ["whose header is not JSON", rawSafetensorsFile("{]", []), /not JSON/],
  ["whose header is a list", rawSafetensorsFile("[1]", []), /header at the top/],
  [
    "with a negative size",
    rawSafetensorsFile(header({ a: f32(0, 4, [-1]) }), [new Uint8Array(4)]),
    /a\.shape\.0/,
  ],
  [
    "with an unknown type",
    rawSafetensorsFile(header({ a: { ...f32(0, 4), dtype: "F64" } }), [new Uint8Array(4)]),
    /a is of type F64/,
  ],
  [
    "with a type named like a property of objects",
    rawSafetensorsFile(header({ a: { ...f32(0, 4), dtype: "toString" } }), [new Uint8Array(4)]),
    /a is of type toString/,
  ],
  [
    "whose span and shape differ",
    rawSafetensorsFile(header({ a: f32(0, 8, [1]) }), [new Uint8Array(8)]),
    /a spans 8 bytes, expected 4/,
  ],
  [
    "cut short",
    rawSafetensorsFile(header({ a: f32(0, 8) }), [new Uint8Array(7)]),
    /a ends at byte 8 of the data, which holds 7/,
  ],
  [
    "with an overlap",
    rawSafetensorsFile(header({ a: f32(0, 8), b: f32(4, 12) }), [new Uint8Array(12)]),
    /b overlaps/,
  ],
  [
    "with a hole",
    rawSafetensorsFile(header({ a: f32(0, 4), b: f32(8, 12) }), [new Uint8Array(12)]),
    /4 bytes before b/,
  ],
  [
    "with bytes after the last tensor",
    rawSafetensorsFile(header({ a: f32(0, 4) }), [new Uint8Array(6)]),
    /last 2 bytes/,
  ],
  [
    "with a backward span",
    rawSafetensorsFile(header({ a: f32(4, 0, [0]) }), [new Uint8Array(4)]),
    /a spans -4 bytes/,
  ],
])("a safetensors file %s is refused", (_, file, message) => {
  expect(() => parseSafetensors(file, "file")).toThrow(message);
});

test("metadata and tensors without elements are taken", () => {
  const file = rawSafetensorsFile(
    header({ __metadata__: { made: "today" }, none: f32(0, 0), a: f32(0, 4) }),
    [new Uint8Array(4)],
  );
  expect([...parseSafetensors(file, "file").keys()]).toEqual(["none", "a"]);
});

test.each<[string, object, RegExp]>([
  ["an unknown field", { extra: 1 }, /extra/],
  ["a fraction", { dim: 32.5 }, /dim/],
  ["another format", { format: "x" }, /format/],
  ["odd heads", { nHeads: 3 }, /nHeads 3 is no multiple of nKvHeads 2/],
  ["too few angles", { rotaryLog2: [1] }, /rotaryLog2 holds 1 entries, expected headDim \/ 2 = 4/],
  ["a wrong width", { dim: 64 }, /folds end in 32 features, expected dim = 64/],
  ["a short ring", { memory: { perceptionTurns: 5, toldTokens: 4, saidTokens: 10 } }, /toldTokens is below/],
])("a config with %s is refused by name", async (_, change, message) => {
  await cp(good, directory, { recursive: true });
  await writeFile(join(directory, "config.json"), JSON.stringify({ ...TINY_CONFIG, ...change }));
  await expect(loadCheckpoint(directory)).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(message),
  });
});

test("the shipped configuration is consistent", async () => {
  const { parseNativeConfig } = await import("../../../models/native/config.ts");
  const path = new URL("../../../models/native/shipped/config.json", import.meta.url);
  expect(parseNativeConfig(await readFile(path, "utf8"), "shipped").name).toMatch(/^native\//);
});

test("a folder without files is missing, not corrupt", async () => {
  await expect(loadCheckpoint(join(good, "nowhere"))).rejects.toMatchObject({ code: "missing-file" });
});
