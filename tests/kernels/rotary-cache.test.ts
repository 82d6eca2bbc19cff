import { describe, expect, it } from "vitest";
import { fromHalf, toHalves } from "../../kernels/half.ts";
import { type CacheFormat, EMPTY_POSITION } from "../../kernels/kv-cache.ts";
import type { PlainCache } from "../../kernels/qkv-rotary-cache/qkv-rotary-cache.reference.ts";
import {
  type RotaryCacheShape,
  rotaryCacheReference,
} from "../../kernels/rotary-cache/rotary-cache.reference.ts";
import { createRotaryCache } from "../../kernels/rotary-cache/rotary-cache.ts";
import { packRows } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

function plainCache(shape: RotaryCacheShape, sequences: number, fill: number): PlainCache {
  const length = sequences * shape.nKvHeads * shape.capacity * shape.headDim;
  return {
    keys: new Float64Array(length).fill(fill),
    values: new Float64Array(length).fill(fill),
    slotPositions: new Uint32Array(shape.capacity).fill(EMPTY_POSITION),
  };
}

/** (heads, headDim / 4, capacity, 4) as the kernel keeps keys to (heads, capacity, headDim). */
function plainKeys({ headDim, capacity }: RotaryCacheShape, keys: Float32Array): Float32Array {
  return Float32Array.from({ length: keys.length }, (_, i) => {
    const d = i % headDim;
    const slot = Math.floor(i / headDim) % capacity;
    const head = Math.floor(i / (headDim * capacity));
    return keys[((head * (headDim / 4) + Math.floor(d / 4)) * capacity + slot) * 4 + (d % 4)]!;
  });
}

const MOSHI: RotaryCacheShape = {
  nHeads: 4,
  nKvHeads: 4,
  headDim: 64,
  capacity: 30,
  rotary: { layout: "interleaved", maxPeriod: 10_000 },
};
const GROUPED: RotaryCacheShape = {
  nHeads: 6,
  nKvHeads: 2,
  headDim: 12,
  capacity: 17,
  rotary: { layout: "halves", maxPeriod: 20_000 },
};
const DEPTH: RotaryCacheShape = { nHeads: 3, nKvHeads: 3, headDim: 4, capacity: 9, rotary: null };
const KEYS_ONLY: RotaryCacheShape = { nHeads: 0, nKvHeads: 2, headDim: 8, capacity: 25, rotary: null };

describe("rotary-cache reference", () => {
  it("turns pairs as worked by hand", () => {
    // With a period of 1 every pair turns by one radian a position; a quarter turn takes (x, y) to (-y, x).
    const position = Math.PI / 2;
    const shape = { ...DEPTH, nHeads: 1, nKvHeads: 1, capacity: 2 };
    const qkv = [1, 2, 3, 4, 10, 20, 30, 40, 5, 6, 7, 8];
    const rows = [{ position, cacheSlot: 1, index: 0 }];
    const turned = (layout: "interleaved" | "halves") => {
      const cache = plainCache(shape, 1, 0);
      const q = rotaryCacheReference({ ...shape, rotary: { layout, maxPeriod: 1 } }, qkv, rows, cache);
      expect([...cache.values]).toEqual([0, 0, 0, 0, 5, 6, 7, 8]);
      return [...q, ...cache.keys.subarray(4)];
    };
    for (const [i, value] of [-2, 1, -4, 3, -20, 10, -40, 30].entries())
      expect(turned("interleaved")[i]).toBeCloseTo(value, 12);
    for (const [i, value] of [-3, -4, 1, 2, -30, -40, 10, 20].entries())
      expect(turned("halves")[i]).toBeCloseTo(value, 12);
  });

  it.each(["interleaved", "halves"] as const)(
    "agrees with onnxruntime's RotaryEmbedding, %s",
    async (layout) => {
      const { headDim } = MOSHI;
      const position = 1234;
      const shape = { ...MOSHI, nHeads: 1, nKvHeads: 1, rotary: { layout, maxPeriod: 10_000 } };
      const qkv = gaussian(4, 3 * headDim);
      const angles = Array.from({ length: headDim / 2 }, (_, j) => position * 10_000 ** ((-2 * j) / headDim));
      const graph = new OnnxGraph();
      const x = graph.input("x", "float32", [1, 1, headDim]);
      const positions = graph.constant("positions", "int64", [1, 1], BigInt64Array.of(0n));
      const cos = graph.constant("cos", "float32", [1, headDim / 2], Float32Array.from(angles, Math.cos));
      const sin = graph.constant("sin", "float32", [1, headDim / 2], Float32Array.from(angles, Math.sin));
      const rotated = graph.node("RotaryEmbedding", [x, positions, cos, sin], {
        domain: "com.microsoft",
        attributes: { interleaved: { int: layout === "interleaved" ? 1 : 0 } },
        name: "y",
      });
      graph.output(rotated, "float32", [1, 1, headDim]);
      const actual = await runOnnx(graph, { x: { data: qkv.slice(0, headDim), dims: [1, 1, headDim] } });
      const cache = plainCache(shape, 1, 0);
      const q = rotaryCacheReference(shape, qkv, [{ position, cacheSlot: 0, index: 0 }], cache);
      expectClose(actual, q, { absolute: 1e-6 });
    },
  );
});

describeOnGpu("rotary-cache", (gpu) => {
  /** Runs over `positions.length` rows of `sequences` sequences in turn; the step names `rows` of them. */
  async function check(
    shape: RotaryCacheShape,
    positions: readonly number[],
    options: { workgroupSize?: number; rows?: number; sequences?: number; format?: CacheFormat } = {},
  ): Promise<void> {
    const { nHeads, nKvHeads, headDim, capacity } = shape;
    const { sequences = 1, format = "f32" } = options;
    const qkv = gaussian(positions.length, positions.length * (nHeads + 2 * nKvHeads) * headDim);
    // Slots from the end, so that none is next to the one of the row before; rows of one step share theirs.
    const places = positions.map((position, i) => ({
      position,
      cacheSlot: (capacity - 1 + 2 * Math.floor(i / sequences)) % capacity,
      kind: 0,
      index: i % sequences,
    }));
    const nRows = options.rows ?? positions.length;
    const expected = plainCache(shape, sequences, -7);
    const expectedQ = rotaryCacheReference(shape, qkv, places.slice(0, nRows), expected);

    const cacheLength = expected.keys.length;
    const sevens = new Float32Array(cacheLength).fill(-7);
    const [untouched, words] = format === "f16" ? [toHalves(sevens), cacheLength / 2] : [sevens, cacheLength];
    const q = output(gpu, "q", Math.max(2, expectedQ.length)); // a pair at least: what the shader reads at once
    const keys = output(gpu, "keys", words, untouched);
    const values = output(gpu, "values", words, untouched);
    const read = async ({ f32, u32 }: typeof keys) =>
      format === "f32" ? f32() : Float32Array.from(new Uint16Array((await u32()).buffer), fromHalf);
    const slotPositions = output(gpu, "slots", capacity, new Uint32Array(capacity).fill(EMPTY_POSITION));
    const kernel = await createRotaryCache(gpu, {
      ...shape,
      label: "rotary",
      qkv: input(gpu, "qkv", qkv),
      rows: input(gpu, "rows", packRows(places)),
      ...(nHeads > 0 ? { q: q.view } : {}),
      cache: { format, keys: keys.view, values: values.view },
      slotPositions: slotPositions.view,
      step: step(gpu, nRows),
      ...(options.workgroupSize ? { workgroupSize: options.workgroupSize } : {}),
    });
    await run(gpu, [kernel], positions.length);
    // Single precision: an angle is off by 5e-7, of values up to 5.
    const limits = { absolute: 4e-6 };
    if (expectedQ.length > 0) expectClose(await q.f32(), expectedQ, limits);
    // WGSL lets a device take either of the two halves around a number: 2^-10 of it.
    const rounding = format === "f16" ? 2 ** -10 : 0;
    expectClose(plainKeys(shape, await read(keys)), expected.keys, { ...limits, relative: rounding });
    const tiny = format === "f16" ? 2 ** -24 : 0;
    expectClose(await read(values), expected.values, { absolute: tiny, relative: rounding });
    expect([...(await slotPositions.u32())]).toEqual([...expected.slotPositions]);
  }

  for (const workgroupSize of [1, 63, 256]) {
    it(`agrees with the reference at workgroup size ${workgroupSize}`, async () => {
      await check(MOSHI, [0, 1, 2, 63, 2999], { workgroupSize });
      await check(GROUPED, [0, 7, 8, 3000], { workgroupSize });
      await check(DEPTH, [0, 1, 2], { workgroupSize });
      await check(KEYS_ONLY, [4, 4, 4, 4, 4], { workgroupSize });
    });
  }

  for (const workgroupSize of [1, 63]) {
    it(`writes halves as the reference, workgroup size ${workgroupSize}`, async () => {
      const options = { workgroupSize, format: "f16" as const };
      await check(MOSHI, [0, 1, 2, 63, 2999], options);
      await check(GROUPED, [0, 7, 8, 3000], { ...options, rows: 3 });
      await check(DEPTH, [0, 1, 2], options);
      await check(KEYS_ONLY, [4, 4, 4, 4, 4], options);
      await check(MOSHI, [5, 5, 6, 6], { ...options, sequences: 2 });
    });
  }

  it("holds what a half cannot at the end of its range", async () => {
    const shape = { ...DEPTH, nHeads: 0, nKvHeads: 1, capacity: 1 };
    const qkv = Float32Array.of(1e6, -1e6, 65504, 1, -70000, 2, 65536, -65504);
    const views = [output(gpu, "keys", 2), output(gpu, "values", 2)] as const;
    const kernel = await createRotaryCache(gpu, {
      ...shape,
      label: "rotary",
      qkv: input(gpu, "qkv", qkv),
      rows: input(gpu, "rows", packRows([{ position: 0, cacheSlot: 0, kind: 0, index: 0 }])),
      cache: { format: "f16", keys: views[0].view, values: views[1].view },
      slotPositions: createBuffer(gpu, { label: "slots", sizeBytes: 4 }),
      step: step(gpu, 1),
    });
    await run(gpu, [kernel], 1);
    const halves = await Promise.all(
      views.map(async ({ u32 }) => [...new Uint16Array((await u32()).buffer)]),
    );
    expect(halves.map((each) => each.map(fromHalf))).toEqual([
      [65504, -65504, 65504, 1],
      [-65504, 2, 65504, -65504],
    ]);
  });

  it("keeps the caches of two sequences apart", async () => {
    await check(MOSHI, [5, 5, 6, 6], { sequences: 2 });
    await check(GROUPED, [900, 900], { sequences: 2 });
  });

  it("turns by the exact angle however long the session", async () => {
    // A day of frames is 1.08 million positions, where f32 angles would be off by 0.06. The reference's own, in double,
    // are good to 1e-8 there.
    await check(MOSHI, [1_080_000, 1_080_001, 99_999_999]);
    await check(GROUPED, [1_079_999, 16_777_217]);
  });

  it("leaves rows past the step alone", async () => {
    await check(MOSHI, [3, 4, 5], { rows: 2 });
    await check(MOSHI, [3, 4, 5], { rows: 0 });
  });

  it("refuses shapes that do not fit", async () => {
    const view = createBuffer(gpu, { label: "any", sizeBytes: 16 });
    const cache = { format: "f32", keys: view, values: view } as const;
    const buffers = { qkv: view, rows: view, cache, slotPositions: view, step: view };
    const make = (shape: RotaryCacheShape) =>
      createRotaryCache(gpu, { ...shape, ...buffers, label: "layers.0" });
    await expect(make({ ...KEYS_ONLY, headDim: 6 })).rejects.toThrow("layers.0: headDim is 6");
    await expect(make(MOSHI)).rejects.toThrow("there is no buffer for q");
    const rotary = { layout: "halves", maxPeriod: 0 } as const;
    await expect(make({ ...KEYS_ONLY, rotary })).rejects.toThrow("maxPeriod is 0");
  });
});
