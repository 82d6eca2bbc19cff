import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dequantize, quantize } from "../../../kernels/blocks.ts";
import { toHalf } from "../../../kernels/half.ts";
import { openPublished } from "../../../models/moshi/tensor-names.ts";
import type { TensorFile } from "../../../models/tensors/tensor-file.ts";
import { temporaryFolder } from "../../cli/media.ts";
import { seededUniform } from "../native/random-checkpoint.ts";
import { rawSafetensorsFile } from "../native/safetensors-file.ts";
import { ggufFile } from "../tensors/gguf-file.ts";

const folder = temporaryFolder();
const D = 64;
const DEPTH = 32;
/** Three depth steps, of which the last two share their weights. */
const SCHEDULE = [0, 1, 1];

interface Array2 {
  shape: readonly number[];
  data: Float32Array;
}
type Arrays = Map<string, Array2>;

/** A small checkpoint under the names of the PyTorch release. */
function checkpoint(): Arrays {
  const shapes: Record<string, readonly number[]> = {
    "text_emb.weight": [9, D],
    "text_linear.weight": [8, D],
    "out_norm.alpha": [1, 1, D],
    "transformer.layers.0.norm1.alpha": [1, 1, D],
    "transformer.layers.0.norm2.alpha": [1, 1, D],
    "transformer.layers.0.norm_cross.weight": [D],
    "transformer.layers.0.norm_cross.bias": [D],
    "transformer.layers.0.self_attn.in_proj_weight": [3 * D, D],
    "transformer.layers.0.self_attn.out_proj.weight": [D, D],
    "transformer.layers.0.cross_attention.in_proj_weight": [3 * D, D],
    "transformer.layers.0.cross_attention.out_proj.weight": [D, D],
    "transformer.layers.0.gating.linear_in.weight": [128, D],
    "transformer.layers.0.gating.linear_out.weight": [D, 64],
    "depformer.layers.0.norm1.alpha": [1, 1, DEPTH],
    "depformer.layers.0.norm2.alpha": [1, 1, DEPTH],
    "depformer.layers.0.self_attn.in_proj_weight": [2 * 3 * DEPTH, DEPTH],
    "depformer.layers.0.self_attn.out_proj.weight": [2 * DEPTH, DEPTH],
    "depformer_text_emb.weight": [9, 32],
    "depformer_text_emb.low_rank.weight": [DEPTH, 32],
    "extra_heads.0.weight": [6, D],
    "condition_provider.conditioners.control.output_proj.weight": [D, 32],
  };
  for (const q of [0, 1, 2]) shapes[`emb.${q}.weight`] = [5, D];
  for (const k of [0, 1]) shapes[`depformer_emb.${k}.weight`] = [5, 32];
  for (const k of [0, 1, 2]) shapes[`linears.${k}.weight`] = [4, DEPTH];
  for (const s of [0, 1]) {
    shapes[`depformer_in.${s}.weight`] = [DEPTH, D];
    shapes[`depformer.layers.0.gating.${s}.linear_in.weight`] = [64, DEPTH];
    shapes[`depformer.layers.0.gating.${s}.linear_out.weight`] = [DEPTH, 32];
  }
  return new Map(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      { shape, data: randoms(i + 1, lengthOf(shape)) },
    ]),
  );
}

/** The same numbers for the same seed. */
function randoms(seed: number, length: number): Float32Array {
  const uniform = seededUniform(seed);
  return Float32Array.from({ length }, () => uniform());
}

const lengthOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** As the release's scripts for Rust and for MLX lay a checkpoint out: fused blocks taken apart, for every step. */
function relaid(arrays: Arrays, layout: "rust" | "mlx"): Arrays {
  const mlx = layout === "mlx";
  const out: Arrays = new Map();
  const flat = ({ shape, data }: Array2): Array2 => ({ shape: mlx ? shape.slice(-1) : shape, data });
  for (const [name, array] of arrays) {
    if (/^(depformer|linears)/.test(name)) continue;
    if (name.endsWith(".alpha")) out.set(mlx ? name.replace(".alpha", ".weight") : name, flat(array));
    else if (mlx && name.startsWith("emb.")) out.set(`audio_${name.replace("emb", "embs")}`, array);
    else out.set(mlx ? name.replace(".in_proj_weight", ".in_proj.weight") : name, array);
  }
  const block = (name: string, set: number): Array2 => {
    const { shape, data } = arrays.get(name)!;
    return {
      shape: [shape[0]! / 2, shape[1]!],
      data: data.slice((set * data.length) / 2, ((set + 1) * data.length) / 2),
    };
  };
  for (const [step, set] of SCHEDULE.entries()) {
    const base = `depformer.${mlx ? "slices." : ""}${step}`;
    const layer = `${base}.transformer.layers.0`;
    const from = "depformer.layers.0";
    const normName = mlx ? "weight" : "alpha";
    out.set(`${base}.linear_in.weight`, arrays.get(`depformer_in.${set}.weight`)!);
    out.set(`${base}.linear_out.weight`, arrays.get(`linears.${step}.weight`)!);
    if (step === 0) {
      out.set(`${base}.emb.weight`, arrays.get("depformer_text_emb.weight")!);
      out.set(`${base}.emb.low_rank.weight`, arrays.get("depformer_text_emb.low_rank.weight")!);
    } else out.set(`${base}.emb.weight`, arrays.get(`depformer_emb.${step - 1}.weight`)!);
    for (const norm of ["norm1", "norm2"]) {
      out.set(`${layer}.${norm}.${normName}`, flat(arrays.get(`${from}.${norm}.alpha`)!));
    }
    out.set(
      `${layer}.self_attn.in_proj${mlx ? "." : "_"}weight`,
      block(`${from}.self_attn.in_proj_weight`, set),
    );
    out.set(`${layer}.self_attn.out_proj.weight`, block(`${from}.self_attn.out_proj.weight`, set));
    for (const part of ["linear_in", "linear_out"]) {
      out.set(`${layer}.gating.${part}.weight`, arrays.get(`${from}.gating.${set}.${part}.weight`)!);
    }
  }
  return out;
}

type Stored = Record<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>;

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const f32 = ({ shape, data }: Array2) => ({ dtype: "F32", shape, bytes: bytesOf(data) });

function write(name: string, stored: Stored): string {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(stored).map(([tensor, { dtype, shape, bytes }]) => {
      end += bytes.byteLength;
      return [tensor, { dtype, shape, data_offsets: [end - bytes.byteLength, end] }];
    }),
  );
  const path = join(folder, name);
  writeFileSync(
    path,
    rawSafetensorsFile(
      JSON.stringify(header),
      Object.values(stored).map(({ bytes }) => bytes),
    ),
  );
  return path;
}

const plain = (arrays: Arrays): Stored =>
  Object.fromEntries([...arrays].map(([name, array]) => [name, f32(array)]));

async function expectArrays(file: TensorFile, expected: Arrays, tolerance = 0): Promise<void> {
  expect([...file.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { shape, data }] of expected) {
    expect(file.tensors.get(name)!.shape, name).toEqual(shape);
    const whole = await file.read(name);
    // Also rows from the middle on, whole blocks of 32 of them.
    const start = Math.floor(data.length / 64) * 32;
    const rest = await file.read(name, { start, count: data.length - start });
    expect([...rest], name).toEqual([...whole.subarray(start)]);
    const worst = Math.max(...data.map((value, i) => Math.abs(value - whole[i]!)));
    expect(worst, name).toBeLessThanOrEqual(tolerance);
  }
  await file.close();
}

test("PyTorch's own names stay as they are", async () => {
  const arrays = checkpoint();
  await expectArrays(await openPublished(write("torch.safetensors", plain(arrays))), arrays);
});

test.each(["rust", "mlx"] as const)("the layout of %s is fused again, each set once", async (layout) => {
  const arrays = checkpoint();
  const path = write(`${layout}.safetensors`, plain(relaid(arrays, layout)));
  await expectArrays(await openPublished(path, { schedule: SCHEDULE }), arrays);
});

test("without a schedule every step is a set of its own", async () => {
  const path = write("sets.safetensors", plain(relaid(checkpoint(), "rust")));
  const file = await openPublished(path);
  expect(file.tensors.get("depformer.layers.0.self_attn.in_proj_weight")!.shape).toEqual([9 * DEPTH, DEPTH]);
  expect(file.tensors.has("depformer.layers.0.gating.2.linear_in.weight")).toBe(true);
  await file.close();
});

/** As mlx.core.quantize packs a matrix: per group scale and bias of its range, values from the lowest bits on. */
function packed({ shape, data }: Array2, bits: 4 | 8, group: number): { stored: Stored; values: Array2 } {
  const [rows, cols] = [shape[0]!, shape[1]!];
  const words = new Uint32Array((rows * cols * bits) / 32);
  const [scales, biases] = [new Float32Array(data.length / group), new Float32Array(data.length / group)];
  const values = new Float32Array(data.length);
  for (let g = 0; g < scales.length; g++) {
    const part = data.subarray(g * group, (g + 1) * group);
    biases[g] = Math.min(...part);
    scales[g] = (Math.max(...part) - biases[g]!) / (2 ** bits - 1);
    for (const [j, value] of part.entries()) {
      const i = g * group + j;
      const q = Math.round((value - biases[g]!) / scales[g]!);
      words[Math.floor((i * bits) / 32)]! += q * 2 ** ((i * bits) % 32);
      values[i] = scales[g]! * q + biases[g]!;
    }
  }
  const groups = [rows, cols / group];
  return {
    stored: {
      weight: { dtype: "U32", shape: [rows, (cols * bits) / 32], bytes: bytesOf(words) },
      scales: { dtype: "F32", shape: groups, bytes: bytesOf(scales) },
      biases: { dtype: "F32", shape: groups, bytes: bytesOf(biases) },
    },
    values: { shape, data: values },
  };
}

// 4 bits in groups of 64 have the shapes of 8 bits in groups of 32.
test.each([
  [4, 32],
  [8, 32],
  [4, 16],
] as const)("MLX's affine groups: %i bits, groups of %i", async (bits, group) => {
  const arrays = checkpoint();
  const rounded = new Map(arrays);
  for (const [name, array] of arrays) {
    if (array.shape.length === 2) rounded.set(name, packed(array, bits, group).values);
  }
  const stored: Stored = {};
  for (const [name, array] of relaid(arrays, "mlx")) {
    if (array.shape.length !== 2) {
      stored[name] = f32(array);
      continue;
    }
    const parts = packed(array, bits, group).stored;
    for (const [part, tensor] of Object.entries(parts)) stored[name.replace(/weight$/, part)] = tensor;
  }
  const path = write("mlx-packed.safetensors", stored);
  const file = await openPublished(path, { schedule: SCHEDULE });
  expect(file.tensors.get("text_linear.weight")!.dtype).toBe(`Q${bits}_MLX`);
  // The group's value is one rounding of f32 away at the most.
  await expectArrays(file, rounded, 1e-6);
});

test("bitsandbytes' rows of int8, with projections one by one", async () => {
  const arrays = checkpoint();
  const rounded = new Map(arrays);
  const stored: Stored = {};
  const put = (name: string, { shape, data }: Array2, target: Float32Array, at: number) => {
    const cols = shape[1]!;
    const absmax = Float32Array.from({ length: shape[0]! }, (_, r) =>
      Math.max(...data.subarray(r * cols, (r + 1) * cols).map(Math.abs)),
    );
    const q = Int8Array.from(data, (value, i) => Math.round((value * 127) / absmax[Math.floor(i / cols)]!));
    stored[name] = { dtype: "I8", shape, bytes: bytesOf(q) };
    stored[`${name}_scb`] = { dtype: "F32", shape: [shape[0]!], bytes: bytesOf(absmax) };
    for (const [i, value] of q.entries()) target[at + i] = (value * absmax[Math.floor(i / cols)]!) / 127;
  };
  for (const [name, array] of arrays) {
    const isLinear = array.shape.length === 2 && !/emb\.(\d+\.)?weight$/.test(name);
    if (!isLinear) {
      stored[name] = f32(array);
      continue;
    }
    const target = new Float32Array(array.data.length);
    rounded.set(name, { shape: array.shape, data: target });
    const projection = /^(.*self_attn\.)(in|out)_proj[._]weight$/.exec(name);
    const count = projection ? (name.startsWith("depformer") ? 2 : 1) : 0;
    if (!projection) put(name, array, target, 0);
    for (let i = 0; i < count; i++) {
      const length = array.data.length / count;
      const part = {
        shape: [array.shape[0]! / count, array.shape[1]!],
        data: array.data.subarray(i * length, (i + 1) * length),
      };
      put(`${projection![1]}${projection![2]}_projs.${i}.weight`, part, target, i * length);
    }
  }
  const file = await openPublished(write("bnb.safetensors", stored));
  // Integers as they are stored, and a scale of its row for every block; from the middle of a row on.
  const name = "text_linear.weight";
  expect(file.tensors.get(name)!.dtype).toBe("Q8_0");
  const blocks = await file.readBlocks!(name, { start: D + 32, count: 2 * D });
  const integers = new Int8Array(stored[name]!.bytes).subarray(D + 32, 3 * D + 32);
  const absmax = new Float32Array(Uint8Array.from(stored[`${name}_scb`]!.bytes).buffer);
  const scales = [1, 2, 2, 3].map((row) => Math.fround(absmax[row]! / 127));
  expect(blocks).toEqual({ kind: "q8", values: Int8Array.from(integers), scales: Float32Array.from(scales) });
  await expectArrays(file, rounded, 1e-6);
});

test("adapters are multiplied out, also those of blocks one by one and of fused ones", async () => {
  const arrays = checkpoint();
  const [rank, scaling] = [3, 2];
  const adapters: Arrays = new Map();
  const adapt = (target: string, stem: string, first: number, rows: number, blocks = 1) => {
    const base = arrays.get(target)!;
    const cols = base.shape[1]!;
    const a = randoms(100 + first, blocks * rank * cols);
    const b = randoms(200 + first, rows * rank);
    adapters.set(`${stem}.lora_A.weight`, { shape: [blocks * rank, cols], data: a });
    adapters.set(`${stem}.lora_B.weight`, { shape: [rows, rank], data: b });
    for (let r = 0; r < rows; r++) {
      const block = Math.floor((r * blocks) / rows);
      for (let c = 0; c < cols; c++) {
        let sum = 0;
        for (let k = 0; k < rank; k++) sum += b[r * rank + k]! * a[(block * rank + k) * cols + c]!;
        base.data[(first + r) * cols + c]! += scaling * sum;
      }
    }
  };
  const path = write("base.safetensors", plain(arrays));
  adapt("text_linear.weight", "text_linear", 0, 8);
  adapt(
    "transformer.layers.0.self_attn.in_proj_weight",
    "transformer.layers.0.self_attn.in_projs.0",
    0,
    3 * D,
  );
  for (const set of [0, 1]) {
    const stem = `depformer.layers.0.self_attn.out_projs.${set}`;
    adapt("depformer.layers.0.self_attn.out_proj.weight", stem, set * DEPTH, DEPTH);
  }
  adapt(
    "depformer.layers.0.self_attn.in_proj_weight",
    "depformer.layers.0.self_attn.in_proj",
    0,
    6 * DEPTH,
    2,
  );
  const lora = write("lora.safetensors", plain(adapters));
  // Sums of three products in f32.
  await expectArrays(await openPublished(path, { adapters: { path: lora, scaling } }), arrays, 2e-5);
});

test("Rust's GGUF in Q8_0: values as stored, and as blocks also where they are fused", async () => {
  const arrays = checkpoint();
  const rounded = new Map(arrays);
  for (const [name, { shape, data }] of arrays) {
    if (shape.length === 2) rounded.set(name, { shape, data: asQ8_0(data).values });
  }
  const tensors: { name: string; dims: bigint[]; type: number; offset: bigint }[] = [];
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, data: values }] of relaid(arrays, "rust")) {
    const isMatrix = shape.length === 2;
    const bytes = isMatrix ? asQ8_0(values).bytes : bytesOf(values);
    const padded = Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
    tensors.push({
      name,
      dims: [...shape].reverse().map(BigInt),
      type: isMatrix ? 8 : 0,
      offset: BigInt(offset),
    });
    data.push(padded);
    offset += padded.length;
  }
  const path = join(folder, "model.q8.gguf");
  writeFileSync(path, ggufFile({ tensors, data: Buffer.concat(data) }));
  const file = await openPublished(path, { schedule: SCHEDULE });
  expect(file.tensors.get("text_linear.weight")!.dtype).toBe("Q8_0");
  const blocks = await file.readBlocks!("text_linear.weight", { start: D, count: D });
  expect(dequantize(blocks!)).toEqual(rounded.get("text_linear.weight")!.data.slice(D, 2 * D));
  const fused = "depformer.layers.0.self_attn.out_proj.weight";
  expect(file.tensors.get(fused)!.dtype).toBe("Q8_0");
  for (const [name, { shape, data }] of rounded) {
    const held = await file.readBlocks!(name);
    if (shape.length === 2) expect(dequantize(held!), name).toEqual(data);
    else expect(held, name).toBeNull();
  }
  // Rows on both sides of where one part ends and the next begins.
  const { data: all, shape } = rounded.get(fused)!;
  const range = { start: all.length / 2 - shape[1]!, count: 2 * shape[1]! };
  expect(dequantize((await file.readBlocks!(fused, range))!)).toEqual(
    all.slice(range.start, range.start + range.count),
  );
  await expectArrays(file, rounded);
});

function asQ8_0(data: Float32Array): { bytes: Uint8Array; values: Float32Array } {
  const { values, scales } = quantize(data);
  const halves = Uint16Array.from(scales, toHalf);
  const bytes = new Uint8Array(halves.length * 34);
  for (const [b, half] of halves.entries()) {
    bytes.set([half & 255, half >> 8], b * 34);
    bytes.set(bytesOf(values.subarray(b * 32, b * 32 + 32)), b * 34 + 2);
  }
  const exact = Float32Array.from(halves, halfValue);
  return { bytes, values: Float32Array.from(values, (value, i) => value * exact[Math.floor(i / 32)]!) };
}

/** A normal half's value, from its definition (IEEE 754, 3.4). */
function halfValue(bits: number): number {
  return (bits >> 15 ? -1 : 1) * 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
}

test.each<[string, () => Promise<TensorFile>, RegExp]>([
  [
    "packed words without a norm to tell their bits",
    () => openPublished(write("x.safetensors", packedOnly())),
    /packs 0 values of text_linear\.weight/,
  ],
  [
    "an adapter for no tensor",
    () => openWithAdapter("gone", [3, D], [8, 3]),
    /adapter of \[8,64\] for gone\.weight, which is nothing/,
  ],
  [
    "an adapter of another shape",
    () => openWithAdapter("text_linear", [3, 32], [8, 3]),
    /adapter of \[8,32\] for text_linear\.weight, which is \[8,64\]/,
  ],
  [
    "an adapter whose halves differ",
    () => openWithAdapter("text_linear", [4, D], [8, 3]),
    /text_linear\.weight: its adapter's \[8,3\] does not follow its \[4,64\]/,
  ],
])("%s is refused", async (_, open, message) => {
  await expect(open()).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(message),
  });
});

function packedOnly(): Stored {
  const { weight, scales, biases } = packed({ shape: [8, D], data: randoms(1, 8 * D) }, 4, 32).stored;
  return { "text_linear.weight": weight!, "text_linear.scales": scales!, "text_linear.biases": biases! };
}

function openWithAdapter(stem: string, a: readonly number[], b: readonly number[]): Promise<TensorFile> {
  const zeros = (shape: readonly number[]) => ({ shape, data: new Float32Array(lengthOf(shape)) });
  const base = write("small.safetensors", plain(new Map([["text_linear.weight", zeros([8, D])]])));
  const pair: Arrays = new Map([
    [`${stem}.lora_A.weight`, zeros(a)],
    [`${stem}.lora_B.weight`, zeros(b)],
  ]);
  const path = write("adapter.safetensors", plain(pair));
  return openPublished(base, { adapters: { path, scaling: 2 } });
}
