import { describe, expect, it } from "vitest";
import {
  type AttentionShape,
  attentionReference,
  seesSlot,
} from "../../kernels/attention/attention.reference.ts";
import { type AttentionTiling, createAttention } from "../../kernels/attention/attention.ts";
import { fromHalf, toHalves } from "../../kernels/half.ts";
import { type CacheFormat, EMPTY_POSITION } from "../../kernels/kv-cache.ts";
import { packRows, ROW_KIND } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { describeOnGpu, expectClose, gaussian, input, integers, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

const SHIPPED: AttentionShape = {
  nHeads: 5,
  nKvHeads: 1,
  headDim: 64,
  capacity: 9 * 20 + 40 + 40,
  perceptionSlots: 9 * 20,
  perceptionTurns: 20,
};

/** (heads, capacity, headDim) to the kernel's (heads, headDim / 4, capacity, 4). */
function packKeys({ nKvHeads, headDim, capacity }: AttentionShape, keys: Float32Array): Float32Array {
  const packed = new Float32Array(keys.length);
  for (let head = 0; head < nKvHeads; head++) {
    for (let slot = 0; slot < capacity; slot++) {
      for (let d = 0; d < headDim; d++) {
        const to = ((head * (headDim / 4) + Math.floor(d / 4)) * capacity + slot) * 4 + (d % 4);
        packed[to] = keys[(head * capacity + slot) * headDim + d]!;
      }
    }
  }
  return packed;
}

/** A cache in mid-session: recent, stale and empty slots in every region. `now` is the newest position. */
function slotPositions(
  { capacity, perceptionSlots, perceptionTurns }: AttentionShape,
  now: number,
): Uint32Array {
  const ages = integers(capacity, capacity, 64 * perceptionTurns + 200);
  const kinds = integers(capacity + 1, capacity, 10);
  return Uint32Array.from(ages, (age, slot) => {
    if (kinds[slot] === 0) return EMPTY_POSITION;
    // Told and said tokens may be as old as the session.
    return slot < perceptionSlots ? Math.max(0, now - age) : Math.floor((now * kinds[slot]!) / 9);
  });
}

/** The newest position of the tests' sessions. */
const NOW = 64 * 500 + 40;

interface Case {
  shape: AttentionShape;
  positions: readonly number[];
  slots: Uint32Array;
  tiling?: AttentionTiling;
  /** Rows that the step names. Default: all. */
  rows?: number;
  /** Size of the scores. */
  sharpness?: number;
  /** Of the cache. Default: f32. */
  format?: CacheFormat;
}

describe("attention reference", () => {
  it("weighs values as worked by hand", () => {
    const shape = { nHeads: 2, nKvHeads: 1, headDim: 4, capacity: 3, perceptionSlots: 2, perceptionTurns: 2 };
    // Scores 2 q . k / 2: head 0 sees slots 0 and 2 with weights 1 : 3, head 1 evenly. Slot 1 is two turns old.
    const ln3 = Math.log(3);
    const q = [2, 0, 0, 0, 0, 0, 0, 0];
    const keys = [0, 0, 0, 0, 99, 0, 0, 0, ln3, 0, 0, 0];
    const values = [4, 0, 0, 1, 1000, 1000, 1000, 1000, 8, 0, 0, 5];
    const out = attentionReference(shape, q, keys, values, [191, 64, 3], [192]);
    for (const [i, value] of [7, 0, 0, 4, 6, 0, 0, 3].entries()) expect(out[i]).toBeCloseTo(value, 13);
    // A turn earlier it is seen; the slot at 191 is then in the future.
    const earlier = attentionReference(shape, q, keys, values, [191, 64, 3], [190]);
    expect(earlier[4]).toBeCloseTo((1000 + 8) / 2, 12);
  });

  it("agrees with onnxruntime's MatMul and Softmax", async () => {
    const shape = SHIPPED;
    const { nHeads, nKvHeads, headDim, capacity } = shape;
    const positions = [NOW - 900, NOW];
    const slots = slotPositions(shape, NOW);
    const q = gaussian(1, positions.length * nHeads * headDim);
    const keys = gaussian(2, nKvHeads * capacity * headDim);
    const values = gaussian(3, keys.length);
    const graph = new OnnxGraph();
    const cacheDims = [1, nKvHeads, 1, capacity, headDim];
    // (rows, nKvHeads, heads per kv head, 1, headDim): the cache is broadcast over rows and heads.
    const dims = [2, nKvHeads, nHeads / nKvHeads, 1, headDim];
    const x = graph.input("x", "float32", dims);
    const k = graph.node("Transpose", [graph.constant("k", "float32", cacheDims, keys)], {
      attributes: { perm: { ints: [0, 1, 2, 4, 3] } },
    });
    const mask = Float32Array.from({ length: 2 * capacity }, (_, i) => {
      const slot = i % capacity;
      return seesSlot(shape, positions[Math.floor(i / capacity)]!, slot, slots[slot]!) ? 0 : -1e30;
    });
    const scaled = graph.node("Div", [graph.node("MatMul", [x, k]), graph.scalar(Math.sqrt(headDim))]);
    const masked = graph.node("Add", [
      scaled,
      graph.constant("mask", "float32", [2, 1, 1, 1, capacity], mask),
    ]);
    const weights = graph.node("Softmax", [masked], { attributes: { axis: { int: -1 } } });
    const v = graph.constant("v", "float32", cacheDims, values);
    graph.output(graph.node("MatMul", [weights, v], { name: "y" }), "float32", dims);
    const actual = await runOnnx(graph, { x: { data: q, dims } });
    const expected = attentionReference(shape, q, keys, values, slots, positions);
    expectClose(actual, expected, { absolute: 1e-5 });
  });
});

describeOnGpu("attention", (gpu) => {
  async function attend(spec: Case): Promise<{ actual: Float32Array; expected: Float64Array }> {
    const { shape, positions, slots } = spec;
    const rowLength = shape.nHeads * shape.headDim;
    const cacheLength = shape.nKvHeads * shape.capacity * shape.headDim;
    const q = gaussian(1, positions.length * rowLength, spec.sharpness ?? 1);
    const format = spec.format ?? "f32";
    // What a cache of halves holds is exact in f32, so that the reference sees the same keys and values.
    const held = (data: Float32Array) =>
      format === "f16" ? Float32Array.from(toHalves(data), fromHalf) : data;
    const keys = held(gaussian(2, cacheLength));
    const values = held(gaussian(3, cacheLength));
    const cacheView = (label: string, data: Float32Array) =>
      input(gpu, label, format === "f16" ? toHalves(data) : data);
    const out = output(gpu, "out", positions.length * rowLength);
    const kernels = await createAttention(gpu, {
      ...shape,
      label: "attention",
      maxRows: positions.length,
      q: input(gpu, "q", q),
      cache: { format, keys: cacheView("keys", packKeys(shape, keys)), values: cacheView("values", values) },
      slotPositions: input(gpu, "slots", slots),
      rows: input(
        gpu,
        "rows",
        packRows(positions.map((position) => ({ position, cacheSlot: 0, kind: ROW_KIND.told, index: 0 }))),
      ),
      out: out.view,
      step: step(gpu, spec.rows ?? positions.length),
      ...(spec.tiling ? { tiling: spec.tiling } : {}),
    });
    await run(gpu, kernels, positions.length);
    const expected = attentionReference(shape, q, keys, values, slots, positions);
    return { actual: await out.f32(), expected };
  }

  async function check(spec: Case): Promise<void> {
    const { actual, expected } = await attend(spec);
    // Scores of size 6 in single precision are off by 4e-7, weights by as much of themselves, and sums over the slots
    // add up roundings of 6e-8 of values up to 5: 1e-5 leaves room for the device's exp (2 + 2 |x| ulp).
    expectClose(actual, expected, { absolute: 1e-5 * (spec.sharpness ?? 1) });
  }

  const rowsAt = (n: number, last = NOW) => Array.from({ length: n }, (_, i) => last - n + 1 + i);

  for (const workgroupSize of [16, 48, 64]) {
    for (const splits of [1, 3]) {
      it(`agrees with the reference: ${workgroupSize} threads, ${splits} splits`, async () => {
        const tiling = { workgroupSize, splits };
        await check({ shape: SHIPPED, positions: rowsAt(7), slots: slotPositions(SHIPPED, NOW), tiling });
      });
    }
  }

  it.each([1, 2, 3, 4, 5, 33, 48])("agrees with the reference over %i rows as it tiles by itself", (rows) =>
    check({ shape: SHIPPED, positions: rowsAt(rows), slots: slotPositions(SHIPPED, NOW) }),
  );

  it.each([1, 7, 31, 32, 33, 127, 129, 1300])("agrees with the reference over %i slots", async (capacity) => {
    const shape = { ...SHIPPED, capacity, perceptionSlots: Math.floor(capacity / 2) };
    const slots = slotPositions(shape, NOW);
    slots[capacity - 1] = NOW - 1;
    await check({
      shape,
      positions: rowsAt(2),
      slots,
      tiling: { workgroupSize: 16, splits: 1 },
    });
    await check({
      shape,
      positions: rowsAt(1),
      slots,
      tiling: { workgroupSize: 16, splits: 4 },
    });
  });

  it.each([
    [1, 1, 4],
    [16, 1, 8],
    [8, 2, 128],
    [3, 3, 12],
  ])("agrees with the reference for %i heads on %i of %i", async (nHeads, nKvHeads, headDim) => {
    const shape = { ...SHIPPED, nHeads, nKvHeads, headDim };
    await check({ shape, positions: rowsAt(3), slots: slotPositions(shape, NOW) });
  });

  describe("over a cache of halves", () => {
    const format = "f16" as const;

    it.each([1, 7, 33, 129, 1300])("agrees with the reference over %i slots", async (capacity) => {
      const shape = { ...SHIPPED, capacity, perceptionSlots: Math.floor(capacity / 2) };
      const slots = slotPositions(shape, NOW);
      slots[capacity - 1] = NOW - 1;
      for (const splits of [1, 4]) {
        const tiling = { workgroupSize: 16, splits };
        await check({ shape, positions: rowsAt(2), slots, tiling, format });
      }
    });

    it.each([
      [1, 1, 4],
      [16, 1, 8],
      [8, 2, 128],
      [3, 3, 12],
    ])("agrees with the reference for %i heads on %i of %i", async (nHeads, nKvHeads, headDim) => {
      const shape = { ...SHIPPED, nHeads, nKvHeads, headDim };
      await check({ shape, positions: rowsAt(5), slots: slotPositions(shape, NOW), format });
    });

    it("gives zeros to a row that sees nothing, and nothing once the block is closed", async () => {
      const slots = new Uint32Array(SHIPPED.capacity).fill(EMPTY_POSITION);
      const blind = await attend({ shape: SHIPPED, positions: [NOW], slots, format });
      expect(blind.actual.every((value) => value === 0)).toBe(true);
      const none = await attend({ shape: SHIPPED, positions: [NOW], slots, rows: 0, format });
      expect(none.actual.every(Number.isNaN)).toBe(true);
    });
  });

  it("stays finite when one slot outweighs all others", async () => {
    const sharpness = 50;
    const splits = { workgroupSize: 16, splits: 3 };
    const spec = { shape: SHIPPED, positions: rowsAt(3), slots: slotPositions(SHIPPED, NOW), sharpness };
    await check(spec);
    await check({ ...spec, tiling: splits });
  });

  it("sees to the last micro-turn of its memory and no further", async () => {
    const shape = { ...SHIPPED, perceptionSlots: 4, capacity: 6 };
    const turn = 64 * 500;
    const edge = turn - 64 * (shape.perceptionTurns - 1);
    // Slots: the last position out of sight, the first in sight, the row itself, the next; a told one of old, an empty one.
    const slots = Uint32Array.of(edge - 1, edge, turn + 40, turn + 41, 0, EMPTY_POSITION);
    await check({ shape, positions: [turn, turn + 40, turn + 63], slots });
  });

  it("sees across the whole range of positions", async () => {
    const top = 2 ** 32 - 2;
    const shape = { ...SHIPPED, perceptionSlots: 4, capacity: 5 };
    await check({ shape, positions: [top, 0], slots: Uint32Array.of(top, top - 64 * 20, 0, 70, 0) });
  });

  it.each([1, 3])("gives zeros to a row that sees nothing (%i splits)", async (splits) => {
    const slots = new Uint32Array(SHIPPED.capacity).fill(EMPTY_POSITION);
    const tiling = { workgroupSize: 16, splits };
    const { actual } = await attend({ shape: SHIPPED, positions: [NOW], slots, tiling });
    expect(actual.every((value) => value === 0)).toBe(true);
  });

  it.each([1, 3])(
    "leaves rows past the step alone, and all once the block is closed (%i splits)",
    async (splits) => {
      const tiling = { workgroupSize: 16, splits };
      const spec = { shape: SHIPPED, positions: rowsAt(4), slots: slotPositions(SHIPPED, NOW), tiling };
      const rowLength = SHIPPED.nHeads * SHIPPED.headDim;
      const three = await attend({ ...spec, rows: 3 });
      expectClose(three.actual.subarray(0, 3 * rowLength), three.expected.subarray(0, 3 * rowLength), {
        absolute: 1e-5,
      });
      expect(three.actual.subarray(3 * rowLength).every(Number.isNaN)).toBe(true);
      const none = await attend({ ...spec, rows: 0 });
      expect(none.actual.every(Number.isNaN)).toBe(true);
    },
  );

  it("gives the same bits however many rows run at once", async () => {
    const slots = slotPositions(SHIPPED, NOW);
    const tiling = { workgroupSize: 16, splits: 1 };
    const together = await attend({ shape: SHIPPED, positions: rowsAt(5), slots, tiling });
    const alone = await attend({ shape: SHIPPED, positions: rowsAt(1, NOW - 4), slots, tiling });
    expect([...alone.actual]).toEqual([...together.actual.subarray(0, alone.actual.length)]);
  });

  it("refuses a tiling that does not fit the heads", async () => {
    const view = createBuffer(gpu, { label: "any", sizeBytes: 16 });
    const cache = { format: "f32", keys: view, values: view } as const;
    const buffers = { q: view, cache, slotPositions: view, rows: view, out: view, step: view };
    const make = (tiling: AttentionTiling) =>
      createAttention(gpu, { ...SHIPPED, ...buffers, label: "layers.0", maxRows: 1, tiling });
    await expect(make({ workgroupSize: 60, splits: 1 })).rejects.toThrow(
      "layers.0: workgroupSize 60 is no multiple of headDim / 4 = 16",
    );
  });
});
