import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openTensors } from "../../../models/tensors/open.ts";
import type { TensorFile } from "../../../models/tensors/tensor-file.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import { temporaryFolder } from "../../cli/media.ts";
import { rawSafetensorsFile } from "../native/safetensors-file.ts";
import { ggufFile, text, u32, u64 } from "./gguf-file.ts";

/** HOSTILE_FILES=10000 for the full measure. */
const FILES = Number(process.env.HOSTILE_FILES ?? 400);
/** What reading all of them may add to the process: bounds of headers, not sizes of files, and what waits to be collected. */
const MAX_GROWTH_BYTES = 192 * 2 ** 20;

const path = join(temporaryFolder(), "hostile");
const gguf = readFileSync(fileURLToPath(new URL("../../fixtures/gguf/blocks.gguf", import.meta.url)));

/** Whole numbers in [0, bound): a 32-bit xorshift. */
function source(seed: number): (bound: number) => number {
  let state = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((state >>> 0) / 2 ** 32) * bound);
  };
}

type Draw = ReturnType<typeof source>;

/** Entries of which each is right, and the whole a file of three tensors. */
function safetensorsParts(): { header: Record<string, Record<string, unknown>>; data: Buffer } {
  return {
    header: {
      "a.q8": { dtype: "I8", shape: [2, 32], data_offsets: [0, 64] },
      "a.scale": { dtype: "F32", shape: [2, 1], data_offsets: [64, 72] },
      b: { dtype: "BF16", shape: [5, 3], data_offsets: [72, 102] },
    },
    data: Buffer.alloc(102, 0x3e),
  };
}

const ODD_NUMBERS = [-1, 0, 0.5, 1, 31, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, Number.MAX_SAFE_INTEGER];
const ODD_VALUES = [
  ...ODD_NUMBERS,
  "",
  "F64",
  "U32",
  "toString",
  null,
  [],
  {},
  [[1]],
  true,
  "x".repeat(1000),
];

/** One value of the header changed for another, an entry doubled, or one taken away. */
function spoiltHeader(draw: Draw): Uint8Array {
  const { header, data } = safetensorsParts();
  const names = Object.keys(header);
  const name = names[draw(names.length)]!;
  const entry = header[name]!;
  const kind = draw(6);
  if (kind === 0) delete header[name];
  else if (kind === 1) header[`${name}.${draw(2) ? "q8" : "scale"}`] = { ...entry };
  else if (kind === 2) header[["__proto__", "constructor", "", "__metadata__"][draw(4)]!] = entry;
  else if (kind === 3) {
    const key = ["dtype", "shape", "data_offsets"][draw(3)]!;
    entry[key] = ODD_VALUES[draw(ODD_VALUES.length)];
  } else {
    const list = entry[draw(2) ? "shape" : "data_offsets"] as unknown[];
    list[draw(list.length + 1)] = ODD_VALUES[draw(ODD_VALUES.length)];
  }
  return rawSafetensorsFile(JSON.stringify(header), [data]);
}

/** Bits turned over, most of them where the lengths are. */
function flipped(file: Uint8Array, draw: Draw): Uint8Array {
  const out = Buffer.from(file);
  for (let i = 0; i <= draw(8); i++) {
    const at = draw(draw(2) ? out.length : Math.min(out.length, 400));
    out[at]! ^= 1 << draw(8);
  }
  return out;
}

/** Eight bytes that may be a length, made another number. */
function otherLength(file: Uint8Array, draw: Draw): Uint8Array {
  const out = Buffer.from(file);
  const numbers = [0n, 1n, 10n ** 9n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  out.writeBigUInt64LE(numbers[draw(numbers.length)]!, draw(Math.min(out.length - 8, 600)));
  return out;
}

function hostile(draw: Draw): Uint8Array {
  const { header, data } = safetensorsParts();
  const file = draw(2) ? gguf : rawSafetensorsFile(JSON.stringify(header), [data]);
  switch (draw(5)) {
    case 0:
      return spoiltHeader(draw);
    case 1:
      return flipped(file, draw);
    case 2:
      return otherLength(file, draw);
    case 3:
      return Buffer.from(file).subarray(0, draw(file.length));
    default:
      return otherLength(flipped(file, draw), draw);
  }
}

/** Opens and reads everything that is there. @returns null, or the fault. */
async function readAll(): Promise<RuntimeError | null> {
  let file: TensorFile | null = null;
  try {
    file = await openTensors(path);
    for (const { name, shape } of file.tensors.values()) {
      const length = shape.reduce((product, size) => product * size, 1);
      const values = await file.read(name);
      expect(values.length).toBe(length);
      await file.readBlocks?.(name);
    }
    return null;
  } catch (error) {
    if (error instanceof RuntimeError && error.code === "invalid-checkpoint") return error;
    throw error;
  } finally {
    await file?.close();
  }
}

test(`${FILES} hostile files give a clear fault or what stands in them, in bounded memory`, async () => {
  const counts = { refused: 0, read: 0 };
  const before = process.memoryUsage().rss;
  for (let seed = 0; seed < FILES; seed++) {
    const draw = source(seed);
    writeFileSync(path, hostile(draw));
    // Some in a file that goes on for gigabytes of nothing: what is declared may then be there.
    const vast = draw(4) === 0;
    if (vast) truncateSync(path, 2 ** 31 + draw(2 ** 20));
    try {
      const fault = await readAll();
      if (fault) {
        counts.refused++;
        expect(fault.message).toContain(path);
        expect(fault.message.length).toBeLessThan(3000);
      } else counts.read++;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  const growth = process.memoryUsage().rss - before;
  expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  // Neither are all of them caught at the first byte, nor are all of them harmless.
  expect(counts.refused).toBeGreaterThan(FILES / 4);
  expect(counts.read).toBeGreaterThan(FILES / 50);
}, 600_000);

const manyEntries = (count: number) =>
  `{${Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join()}}`;

test.each<[string, () => Uint8Array, number, RegExp]>([
  [
    "a header of 2 GB that is there",
    () => u64(2n ** 31n),
    2 ** 31 + 100,
    /header of 2147483648 bytes, expected at most/,
  ],
  ["a header of 4 MB of nothing", () => u64(4n * 2n ** 20n), 2 ** 32, /is not JSON/],
  ["a header of 4 MB of brackets", () => rawSafetensorsFile("[".repeat(2 ** 22), []), 0, /is not JSON/],
  [
    "a header of a million keys",
    () => rawSafetensorsFile(`{${'"":0,'.repeat(800_000)}"":0}`, []),
    0,
    /header at : is no object/,
  ],
  [
    "more tensors than a header holds",
    () => rawSafetensorsFile(manyEntries(100_000), []),
    0,
    /header of \d+ bytes, expected at most/,
  ],
  [
    "10^9 tensors of GGUF",
    () => ggufFile({ nTensors: 10n ** 9n }),
    2 ** 32,
    /1000000000 tensors, expected at most/,
  ],
  [
    "65,536 tensors of nothing",
    () => ggufFile({ nTensors: 65_536n }),
    2 ** 32,
    /is of type|overlaps|twice|expected/,
  ],
  [
    "metadata without end",
    () => ggufFile({ metadata: [Buffer.concat([text("k"), u32(9), u32(0), u64(2n ** 26n)])] }),
    2 ** 32,
    /its header is longer than 67108864 bytes/,
  ],
])("%s", async (_, make, length, message) => {
  const bytes = make();
  writeFileSync(path, bytes);
  if (length > 0) truncateSync(path, length);
  const before = process.memoryUsage().rss;
  const fault = await readAll();
  expect(fault?.message).toMatch(message);
  expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
});
