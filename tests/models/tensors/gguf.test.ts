import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { dequantize } from "../../../kernels/blocks.ts";
import { openGguf } from "../../../models/tensors/gguf.ts";
import { openSafetensors } from "../../../models/tensors/safetensors.ts";
import { temporaryFolder } from "../../cli/media.ts";
import { type GgufParts, ggufFile, text, u32, u64 } from "./gguf-file.ts";

const folder = temporaryFolder();
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/gguf/${name}`, import.meta.url));

function write(parts: GgufParts | Uint8Array): string {
  const path = join(folder, "file.gguf");
  writeFileSync(path, parts instanceof Uint8Array ? parts : ggufFile(parts));
  return path;
}

// Written and decoded by the Python package `gguf`: see make.py beside it.
test("every type is read as the values that another implementation reads", async () => {
  const file = await openGguf(fixture("blocks.gguf"));
  const expected = await openSafetensors(fixture("expected.safetensors"));
  expect([...file.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
  for (const [name, { shape }] of expected.tensors) {
    expect(file.tensors.get(name)).toMatchObject({ dtype: name, shape });
    const [ours, theirs] = [await file.read(name), await expected.read(name)];
    // Theirs multiplies in another order: a rounding or two in f32 apart.
    for (const [i, value] of theirs.entries()) {
      expect(Math.abs(ours[i]! - value), `${name} ${i}`).toBeLessThanOrEqual(
        1e-5 * Math.max(1, Math.abs(value)),
      );
    }
  }
  await Promise.all([file.close(), expected.close()]);
});

test("blocks of Q8_0 and Q4_0 come as they are stored, of whatever range", async () => {
  const file = await openGguf(fixture("blocks.gguf"));
  for (const name of ["Q8_0", "Q4_0"]) {
    const whole = await file.read(name);
    expect(dequantize((await file.readBlocks!(name))!)).toEqual(whole);
    const range = { start: 64, count: 96 };
    expect(await file.read(name, range)).toEqual(whole.slice(64, 160));
    expect(dequantize((await file.readBlocks!(name, range))!)).toEqual(whole.slice(64, 160));
  }
  expect(await file.readBlocks!("Q5_0")).toBeNull();
  expect(await file.readBlocks!("F16")).toBeNull();
  await file.close();
});

const f32 = (name: string, offset: bigint, dims = [2n]) => ({ name, dims, type: 0, offset });

test("version 2, another alignment, metadata of every shape, and a header beyond the first read", async () => {
  const words = Array.from({ length: 30_000 }, (_, i) => text(`word ${i}`));
  const parts: GgufParts = {
    version: 2,
    alignment: 64,
    metadata: [
      Buffer.concat([text("general.alignment"), u32(4), u32(64)]),
      Buffer.concat([text("tokens"), u32(9), u32(8), u64(30_000n), ...words]),
      Buffer.concat([text("nested"), u32(9), u32(9), u64(1n), u32(5), u64(2n), u32(1), u32(2)]),
      Buffer.concat([text("flag"), u32(7), Buffer.of(1)]),
    ],
    tensors: [f32("b", 64n, [1n]), f32("a", 0n, [3n, 2n])],
    data: new Uint8Array(Float32Array.from({ length: 17 }, (_, i) => i).buffer),
  };
  const file = await openGguf(write(parts));
  expect(file.tensors.get("a")!.shape).toEqual([2, 3]);
  expect([...(await file.read("a"))]).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...(await file.read("b"))]).toEqual([16]);
  await file.close();
});

test.each<[string, GgufParts | Uint8Array, RegExp]>([
  ["of another kind", { magic: "GGML" }, /does not begin with GGUF/],
  ["that is empty", new Uint8Array(0), /ends inside its header/],
  ["of version 1", { version: 1 }, /GGUF version 1, expected 2 or 3/],
  ["of the other byte order", { version: 0x03000000 }, /GGUF version 50331648/],
  ["of 10^9 tensors", { nTensors: 1_000_000_000n }, /1000000000 tensors, expected at most 65536/],
  ["of 2^64 - 1 metadata", { nMetadata: 2n ** 64n - 1n }, /18446744073709551615 metadata/],
  ["with fewer tensors than it says", { nTensors: 3n, tensors: [f32("a", 0n)] }, /ends inside its header/],
  ["with a long name", { tensors: [f32("a".repeat(257), 0n)] }, /257 bytes of a tensor's name/],
  ["with five axes", { tensors: [f32("a", 0n, [1n, 1n, 1n, 1n, 1n])] }, /a has 5 axes, expected at most 4/],
  ["with a vast axis", { tensors: [f32("a", 0n, [2n ** 40n])] }, /1099511627776 sizes of a/],
  [
    "of an unknown type",
    { tensors: [{ ...f32("a", 0n), type: 10 }] },
    /a is of type number 10, expected one of F32 \(0\)/,
  ],
  [
    "that cuts a block",
    { tensors: [{ ...f32("a", 0n, [33n]), type: 8 }] },
    /a has rows of 33, no multiple of 32/,
  ],
  ["that is not aligned", { tensors: [f32("a", 8n)] }, /a begins at byte 8, no multiple of 32/],
  [
    "of a crooked alignment",
    { metadata: [Buffer.concat([text("general.alignment"), u32(4), u32(12)])] },
    /alignment of 12/,
  ],
  ["cut short", { tensors: [f32("a", 0n)], data: new Uint8Array(7) }, /a ends at byte \d+ of \d+/],
  [
    "with an offset past the end",
    { tensors: [f32("a", 2n ** 53n - 32n)], data: new Uint8Array(8) },
    /a ends at byte/,
  ],
  [
    "with an overlap",
    { tensors: [f32("a", 0n, [16n]), f32("b", 32n)], data: new Uint8Array(64) },
    /b overlaps/,
  ],
  [
    "with a name twice",
    { tensors: [f32("a", 0n), f32("a", 32n)], data: new Uint8Array(40) },
    /a stands there twice/,
  ],
  ["with an unknown metadata type", { metadata: [Buffer.concat([text("k"), u32(13)])] }, /value of type 13/],
  [
    "with a vast array",
    { metadata: [Buffer.concat([text("k"), u32(9), u32(8), u64(2n ** 60n)])] },
    /items of an array, expected at most/,
  ],
  [
    "with arrays in arrays without end",
    {
      metadata: [
        Buffer.concat([text("k"), ...Array.from({ length: 9 }, () => Buffer.concat([u32(9)])), u64(1n)]),
      ],
    },
    /its header|ends inside/,
  ],
  ["with a key that is not UTF-8", { metadata: [Buffer.concat([u64(1n), Buffer.of(0xff)])] }, /not UTF-8/],
])("a GGUF file %s is refused", async (_, parts, message) => {
  await expect(openGguf(write(parts))).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(message),
  });
});
