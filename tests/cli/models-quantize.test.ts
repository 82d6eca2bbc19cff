import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runParity } from "../../models/moshi/parity/parity.ts";
import { findParitySets } from "../../models/moshi/parity/parity-set.ts";
import { openSafetensors } from "../../models/tensors/safetensors.ts";
import { main } from "../../src/cli/program.ts";
import { describeOnGpu } from "../kernels/harness.ts";
import { SMALL } from "../models/moshi/gpu/random-checkpoint.ts";
import { referenceBackend, smallSet, writeSet } from "../models/moshi/parity/small-set.ts";
import { seededUniform } from "../models/native/random-checkpoint.ts";
import { rawSafetensorsFile } from "../models/native/safetensors-file.ts";
import { CapturedIo } from "./io.ts";
import { temporaryFolder } from "./media.ts";

const CONFIG = {
  moshi_name: "hf://kyutai/small/lm@1.safetensors",
  lora: true,
  lora_name: "lora.safetensors",
  dim: 64,
  num_layers: 1,
  num_heads: 2,
  context: 8,
  n_q: 2,
  dep_q: 0,
  card: 4,
  text_card: 8,
  delays: [0, 0, 0],
};

const SHAPES: Record<string, readonly number[]> = {
  "text_emb.weight": [9, 64],
  "transformer.layers.0.norm1.alpha": [1, 1, 64],
  "transformer.layers.0.self_attn.in_proj_weight": [192, 64],
  "transformer.layers.0.gating.linear_out.weight": [64, 176],
  "transformer.layers.0.gating.linear_in.weight": [352, 64],
};

/** Values of bfloat16: what a checkpoint holds. */
function bfloats(seed: number, length: number): Uint16Array {
  const uniform = seededUniform(seed);
  return Uint16Array.from({ length }, () => new Uint32Array(Float32Array.of(uniform()).buffer)[0]! >>> 16);
}

const lengthOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

function writeTensors(
  path: string,
  shapes: Record<string, readonly number[]>,
  spoil = -1,
): Map<string, Float32Array> {
  const values = new Map<string, Float32Array>();
  const parts: Uint8Array[] = [];
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const words = bfloats(i + 1, lengthOf(shape));
      if (i === spoil) words[5] = 0x7f80;
      values.set(name, new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer));
      parts.push(new Uint8Array(words.buffer));
      end += 2 * words.length;
      return [name, { dtype: "BF16", shape, data_offsets: [end - 2 * words.length, end] }];
    }),
  );
  writeFileSync(path, rawSafetensorsFile(JSON.stringify(header), parts));
  return values;
}

/** A checkpoint as it is published, in the folder `from` of a new one. */
function published({ config = true, spoil = -1 } = {}): {
  root: string;
  from: string;
  values: Map<string, Float32Array>;
} {
  const root = temporaryFolder();
  const from = join(root, "from");
  mkdirSync(join(from, "voices"), { recursive: true });
  if (config) writeFileSync(join(from, "config.json"), JSON.stringify({ ...CONFIG, lora_name: undefined }));
  writeFileSync(join(from, "tokenizer.model"), "words");
  writeFileSync(join(from, "voices/one.safetensors"), "voice");
  writeFileSync(join(from, ".lock"), "{}");
  const values = writeTensors(join(from, config ? "lm@1.safetensors" : "model.safetensors"), SHAPES, spoil);
  return { root, from, values };
}

async function quantize(...args: string[]): Promise<{ status: number; io: CapturedIo }> {
  const io = new CapturedIo();
  const status = await main(["models", "quantize", ...args], io);
  return { status, io };
}

test.each([
  ["q8", 127, 9 / 8],
  ["q4", 8, 4.5 / 8],
] as const)("%s: a folder that opens again, with the errors as they are", async (format, steps, bytes) => {
  const { root, from, values } = published();
  const to = join(root, "below", "to");
  const { status, io } = await quantize(from, to, "--weights", format, "--json");
  expect({ status, err: io.stderr }).toEqual({ status: 0, err: "" });
  const reports = io.jsonLines();
  expect(reports.map(({ name }) => name).sort()).toEqual([...values.keys()].sort());
  expect(readdirSync(join(root, "below"))).toEqual(["to"]);
  expect(readdirSync(to, { recursive: true }).sort()).toEqual([
    "config.json",
    "model.safetensors",
    "tokenizer.model",
    "voices",
    "voices/one.safetensors",
  ]);
  expect(JSON.parse(readFileSync(join(to, "config.json"), "utf8"))).toEqual({
    ...CONFIG,
    moshi_name: "model.safetensors",
    lora: undefined,
    lora_name: undefined,
  });
  const file = await openSafetensors(join(to, "model.safetensors"));
  for (const [name, data] of values) {
    const report = reports.find((candidate) => candidate.name === name)!;
    const rounded = /in_proj_weight|linear_in/.test(name);
    // Rows of 176 are no whole blocks; embeddings and norms are kept as they are.
    expect(report.format).toBe(rounded ? format : "BF16");
    expect(file.tensors.get(name)).toMatchObject({
      shape: SHAPES[name],
      dtype: rounded ? { q8: "Q8_0", q4: "Q4_0" }[format] : "BF16",
    });
    expect(report.sizeBytes).toBe(data.length * (rounded ? bytes : 2));
    const back = await file.read(name);
    let [largest, errors, squares] = [0, 0, 0];
    for (const [i, value] of data.entries()) {
      const error = Math.abs(back[i]! - value);
      const block = data.subarray(i - (i % 32), i - (i % 32) + 32);
      // No block's step is more than its largest magnitude over `steps`, and q4's last one is a whole step away.
      if (rounded) expect(error).toBeLessThanOrEqual((Math.max(...block.map(Math.abs)) / steps) * 1.001);
      largest = Math.max(largest, error);
      errors += error ** 2;
      squares += value ** 2;
    }
    expect(report.maxError).toBeCloseTo(largest, 12);
    expect(report.relativeError).toBeCloseTo(Math.sqrt(errors / squares), 9);
  }
  await file.close();

  // Once more from what was written: nothing is rounded again.
  const again = await quantize(to, join(root, "again"), "--weights", format);
  expect(again.io.stdout).toMatch(
    /0 of 5 tensors rounded, relative error up to 0\.00 %; \d+\.\d MB in .*again/,
  );
  const [first, second] = [to, join(root, "again")].map((folder) =>
    readFileSync(join(folder, "model.safetensors")),
  );
  expect(second!.equals(first!)).toBe(true);
});

test("without a configuration none is made up; adapters are multiplied out", async () => {
  const bare = published({ config: false });
  expect((await quantize(bare.from, join(bare.root, "to"), "--weights", "q4")).status).toBe(0);
  expect(readdirSync(join(bare.root, "to")).sort()).toEqual([
    "model.safetensors",
    "tokenizer.model",
    "voices",
  ]);

  const { root, from, values } = published();
  writeFileSync(join(from, "config.json"), JSON.stringify({ ...CONFIG, lora_scaling: 0.5 }));
  const stem = "transformer.layers.0.self_attn.in_proj";
  const shapes = { [`${stem}.lora_A.weight`]: [1, 64], [`${stem}.lora_B.weight`]: [192, 1] };
  const added = writeTensors(join(from, "lora.safetensors"), shapes);
  expect((await quantize(from, join(root, "to"), "--weights", "q8")).status).toBe(0);
  expect(readdirSync(join(root, "to"))).not.toContain("lora.safetensors");
  const file = await openSafetensors(join(root, "to/model.safetensors"));
  const back = await file.read(`${stem}_weight`);
  const [a, b] = [...added.values()];
  for (const [i, value] of values.get(`${stem}_weight`)!.entries()) {
    const sum = value + 0.5 * b![Math.floor(i / 64)]! * a![i % 64]!;
    expect(Math.abs(back[i]! - sum)).toBeLessThanOrEqual(1.5 / 127);
  }
  await file.close();
});

test.each<[string, (from: string, root: string) => string[], number, RegExp]>([
  [
    "a folder that is there already",
    (from) => [from, from, "--weights", "q8"],
    2,
    /from is there already\. Name a folder/,
  ],
  ["no target", (from) => [from, "--weights", "q8"], 2, /DST is missing/],
  ["no format", (from, root) => [from, join(root, "to")], 2, /--weights is missing/],
  [
    "another format",
    (from, root) => [from, join(root, "to"), "--weights", "f16"],
    2,
    /'f16' is none of q8, q4/,
  ],
  [
    "a comparison with nothing",
    (from, root) => [from, join(root, "to"), "--weights", "q8", "--parity"],
    78,
    /from lacks .*outputs to compare with/,
  ],
  [
    "a folder without weights",
    (_, root) => [root, join(root, "to"), "--weights", "q8"],
    69,
    /model\.safetensors cannot be read/,
  ],
])("%s is refused, and nothing is left behind", async (_, args, expected, message) => {
  const { root, from } = published();
  const { status, io } = await quantize(...args(from, root));
  expect({ status, err: io.stderr }).toEqual({ status: expected, err: expect.stringMatching(message) });
  expect(readdirSync(root)).toEqual(["from"]);
});

test("infinity is refused by name, and the folder is not left half made", async () => {
  const { root, from } = published({ spoil: 2 });
  const { status, io } = await quantize(from, join(root, "to"), "--weights", "q8");
  expect(status).toBe(78);
  expect(io.stderr).toContain("in_proj_weight holds Infinity at element 5");
  expect(readdirSync(root)).toEqual(["from"]);
});

describeOnGpu("models quantize --parity", () => {
  test("says how far the logits of the copy are off, as the double-precision network finds it", async () => {
    const root = temporaryFolder();
    const [from, to] = [join(root, "from"), join(root, "to")];
    await writeSet(from, await smallSet());
    const { status, io } = await quantize(from, to, "--weights", "q4", "--parity", "--json");
    expect({ status, err: io.stderr }).toEqual({ status: 0, err: "" });
    const logits = io.jsonLines().filter(({ check }) => check === "teacher-forced");
    expect(logits.map(({ set, weights, output }) => [set, weights, output])).toEqual(
      ["text_logits", "transformer_out", "dep_logits", "likeliest"].map((output) => [".", "q4", output]),
    );
    const [set] = await findParitySets(to);
    const report = await runParity(set!, referenceBackend(SMALL, "q4"));
    if (!("checks" in report)) throw new Error("the set was not tried");
    const [teacherForced] = report.checks;
    for (const [i, expected] of teacherForced!.outputs.slice(0, 3).entries()) {
      if (expected.kind !== "numbers") throw new Error(expected.output);
      expect(expected.rms).toBeGreaterThan(0.01);
      // The device rounds embeddings and heads to halves as well, which is a hundredth of what q4 does.
      expect(Math.abs((logits[i]!.rms as number) / expected.rms - 1)).toBeLessThan(0.05);
    }
  }, 240_000);
});
