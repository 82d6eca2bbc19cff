import { describe, expect, it } from "vitest";
import { EMPTY_POSITION } from "../../kernels/kv-cache.ts";
import {
  type PlainCache,
  type QkvShape,
  qkvRotaryCacheReference,
} from "../../kernels/qkv-rotary-cache/qkv-rotary-cache.reference.ts";
import { createQkvRotaryCache } from "../../kernels/qkv-rotary-cache/qkv-rotary-cache.ts";
import { packRows, ROW_KIND } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

function plainCache(shape: QkvShape, fill: number): PlainCache {
  const length = shape.nKvHeads * shape.capacity * shape.headDim;
  return {
    keys: new Float64Array(length).fill(fill),
    values: new Float64Array(length).fill(fill),
    slotPositions: new Uint32Array(shape.capacity).fill(EMPTY_POSITION),
  };
}

/** (heads, headDim / 4, capacity, 4) as the kernel keeps keys to (heads, capacity, headDim). */
function plainKeys(shape: QkvShape, keys: Float32Array): Float32Array {
  const { nKvHeads, headDim, capacity } = shape;
  return Float32Array.from({ length: keys.length }, (_, i) => {
    const d = i % headDim;
    const slot = Math.floor(i / headDim) % capacity;
    const head = Math.floor(i / (headDim * capacity));
    expect(head).toBeLessThan(nKvHeads);
    return keys[((head * (headDim / 4) + Math.floor(d / 4)) * capacity + slot) * 4 + (d % 4)]!;
  });
}

const SHIPPED: QkvShape = {
  nHeads: 5,
  nKvHeads: 1,
  headDim: 64,
  capacity: 200,
  rotaryLog2: Array.from({ length: 32 }, (_, i) => (i < 16 ? i + 3 : 26)),
};
const SMALL: QkvShape = { nHeads: 1, nKvHeads: 1, headDim: 4, capacity: 3, rotaryLog2: [0, 31] };
const WIDE: QkvShape = { nHeads: 4, nKvHeads: 4, headDim: 8, capacity: 17, rotaryLog2: [1, 2, 20, 26] };

describe("qkv-rotary-cache reference", () => {
  it("turns pairs as worked by hand", () => {
    // Position 2 of a period of 2^3 is a quarter turn, of 2^1 a whole one: (x, y) -> (-y, x), and (x, y) stays.
    const shape: QkvShape = { nHeads: 1, nKvHeads: 1, headDim: 4, capacity: 2, rotaryLog2: [3, 1] };
    const cache = plainCache(shape, 0);
    const qkv = [1, 2, 3, 4, 10, 20, 30, 40, 5, 6, 7, 8];
    const q = qkvRotaryCacheReference(shape, qkv, [{ position: 2, cacheSlot: 1 }], cache);
    for (const [i, value] of [-3, 2, 1, 4].entries()) expect(q[i]).toBeCloseTo(value, 14);
    for (const [i, value] of [-30, 20, 10, 40].entries()) expect(cache.keys[4 + i]).toBeCloseTo(value, 13);
    expect([...cache.values]).toEqual([0, 0, 0, 0, 5, 6, 7, 8]);
    expect([...cache.slotPositions]).toEqual([EMPTY_POSITION, 2]);
  });

  it("agrees with onnxruntime's RotaryEmbedding", async () => {
    const { headDim, rotaryLog2 } = SHIPPED;
    const position = 12_345;
    const shape = { ...SHIPPED, nHeads: 1, nKvHeads: 1 };
    const qkv = gaussian(4, 3 * headDim);
    const angles = rotaryLog2.map((log2) => (2 * Math.PI * position) / 2 ** log2);
    const graph = new OnnxGraph();
    const x = graph.input("x", "float32", [1, 1, headDim]);
    const positions = graph.constant("positions", "int64", [1, 1], BigInt64Array.of(0n));
    const cos = graph.constant("cos", "float32", [1, headDim / 2], Float32Array.from(angles, Math.cos));
    const sin = graph.constant("sin", "float32", [1, headDim / 2], Float32Array.from(angles, Math.sin));
    const rotated = graph.node("RotaryEmbedding", [x, positions, cos, sin], {
      domain: "com.microsoft",
      name: "y",
    });
    graph.output(rotated, "float32", [1, 1, headDim]);
    const actual = await runOnnx(graph, { x: { data: qkv.slice(0, headDim), dims: [1, 1, headDim] } });
    const q = qkvRotaryCacheReference(shape, qkv, [{ position, cacheSlot: 0 }], plainCache(shape, 0));
    expectClose(actual, q, { absolute: 1e-6 });
  });
});

describeOnGpu("qkv-rotary-cache", (gpu) => {
  /** Runs over `positions.length` rows; the step names `rows` of them. */
  async function check(shape: QkvShape, positions: readonly number[], workgroupSize: number, rows?: number) {
    const { nHeads, nKvHeads, headDim, capacity } = shape;
    const qkv = gaussian(positions.length, positions.length * (nHeads + 2 * nKvHeads) * headDim);
    // Slots from the end, so that none is next to the one of the row before.
    const places = positions.map((position, i) => ({
      position,
      cacheSlot: (capacity - 1 + 2 * i) % capacity,
    }));
    const nRows = rows ?? positions.length;
    const expected = plainCache(shape, -7);
    const expectedQ = qkvRotaryCacheReference(shape, qkv, places.slice(0, nRows), expected);

    const cacheLength = expected.keys.length;
    const untouched = new Float32Array(cacheLength).fill(-7);
    const q = output(gpu, "q", expectedQ.length || 1);
    const keys = output(gpu, "keys", cacheLength, untouched);
    const values = output(gpu, "values", cacheLength, untouched);
    const slotPositions = output(gpu, "slots", capacity, new Uint32Array(capacity).fill(EMPTY_POSITION));
    const kernel = await createQkvRotaryCache(gpu, {
      ...shape,
      label: "qkv",
      qkv: input(gpu, "qkv", qkv),
      rows: input(
        gpu,
        "rows",
        packRows(places.map((place) => ({ ...place, kind: ROW_KIND.told, index: 0 }))),
      ),
      q: q.view,
      cache: { format: "f32", keys: keys.view, values: values.view },
      slotPositions: slotPositions.view,
      step: step(gpu, nRows),
      workgroupSize,
    });
    await run(gpu, [kernel], positions.length);
    // Single precision: an angle is off by 5e-7, of values up to 5.
    const limits = { absolute: 4e-6 };
    if (nRows > 0) expectClose(await q.f32(), expectedQ, limits);
    expectClose(plainKeys(shape, await keys.f32()), expected.keys, limits);
    expectClose(await values.f32(), expected.values, { absolute: 0 });
    expect([...(await slotPositions.u32())]).toEqual([...expected.slotPositions]);
  }

  const LATE = [0, 1, 63, 64, 4_000_000_000, 2 ** 32 - 2, 2 ** 31, 2 ** 18 - 1, 123_456_789];

  for (const workgroupSize of [1, 63, 256]) {
    it(`agrees with the reference at workgroup size ${workgroupSize}`, async () => {
      await check(SHIPPED, LATE, workgroupSize);
      await check(SHIPPED, [5], workgroupSize);
      await check(SMALL, [2 ** 30], workgroupSize);
      await check(WIDE, LATE.slice(0, 8), workgroupSize);
    });
  }

  it("takes a whole prefill", () =>
    check(
      SHIPPED,
      Array.from({ length: 48 }, (_, i) => 64_000 + i),
      64,
    ));

  it("turns by the exact angle at every position of an hour", async () => {
    // The longest period, 2^18 positions, is 13.6 minutes: an error that grows with the position would show.
    for (const hour of [1, 1000]) {
      await check(
        SHIPPED,
        Array.from({ length: 48 }, (_, i) => hour * 1_152_000 + 24_001 * i),
        64,
      );
    }
  });

  it("leaves rows past the step alone, and everything once the block is closed", async () => {
    await check(SHIPPED, LATE, 64, 3);
    await check(SHIPPED, LATE, 64, 0);
  });

  it("refuses periods and a cache that do not fit", async () => {
    const view = createBuffer(gpu, { label: "any", sizeBytes: 16 });
    const buffers = { qkv: view, rows: view, q: view, slotPositions: view, step: view };
    const make = (shape: QkvShape, format: "f32" | "f16" = "f32") => {
      const cache = { format, keys: view, values: view };
      return createQkvRotaryCache(gpu, { ...shape, ...buffers, cache, label: "layers.0" });
    };
    await expect(make(SMALL, "f16")).rejects.toThrow("the cache is of f16, expected f32");
    await expect(make({ ...SMALL, rotaryLog2: [1] })).rejects.toThrow(
      "rotaryLog2 holds 1 elements, expected 2",
    );
    await expect(make({ ...SMALL, rotaryLog2: [1, 32] })).rejects.toThrow(
      "rotaryLog2 holds 32, expected 0 to 31",
    );
    await expect(make({ ...SMALL, headDim: 6, rotaryLog2: [1, 1, 1] })).rejects.toThrow("headDim is 6");
  });
});
