import { expect, it } from "vitest";
import { embeddingSumReference } from "../../kernels/embedding-sum/embedding-sum.reference.ts";
import { createEmbeddingSum, uploadTables } from "../../kernels/embedding-sum/embedding-sum.ts";
import {
  fromHalf,
  type MatrixSource,
  quantize,
  toFloats,
  toHalf,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import { packRows, ROW_KIND, type Row } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, integers, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

const SIZES = { vocabSize: 40, nTiles: 3, nChannels: 80, nLevels: 16, frames: 4, eps: 1e-6 };

function tablesOf(cols: number) {
  return {
    role: gaussian(1, 2 * cols),
    clock: gaussian(2, 61 * cols),
    tile: gaussian(3, SIZES.nTiles * cols),
    audio: gaussian(4, SIZES.nChannels * SIZES.nLevels * cols),
    audioNorm: gaussian(5, cols),
  };
}

/** Positions and cache slots are not this kernel's business. */
const row = (kind: number, index: number): Row => ({ position: 7, cacheSlot: 9, kind, index });

/** Micro-turns whose end is 0:00:00.2, 0:00:01, 0:09:59.8, 0:59:59.8, 1:00:00, 23:59:59.8, 24:00:00 and past a day. */
const CLOCKS = [0, 4, 2998, 17998, 17999, 431998, 431999, 1234567];

async function check(
  gpu: Gpu,
  {
    cols,
    format = "f32",
    workgroupSize = 64,
  }: { cols: number; format?: "f32" | "f16" | "q8"; workgroupSize?: number },
): Promise<void> {
  const data = gaussian(6, SIZES.vocabSize * cols);
  const source: MatrixSource =
    format === "q8"
      ? quantize(data)
      : { kind: "f32", data: format === "f16" ? data.map((value) => fromHalf(toHalf(value))) : data };
  const tables = tablesOf(cols);
  const levels = integers(7, SIZES.frames * SIZES.nChannels, SIZES.nLevels);
  const tiles = gaussian(8, SIZES.nTiles * cols);
  const rows = [
    ...[0, 1, 2, 3].map((frame) => row(ROW_KIND.audio, frame)),
    ...[0, 1, 2].map((tile) => row(ROW_KIND.video, tile)),
    ...[0, 17, 39].map((token) => row(ROW_KIND.told, token)),
    ...CLOCKS.map((turn) => row(ROW_KIND.clock, turn)),
    ...[0, 17, 39].map((token) => row(ROW_KIND.said, token)),
  ];
  const out = output(gpu, "out", (rows.length + 1) * cols);
  const embed = await createEmbeddingSum(gpu, {
    ...SIZES,
    label: "embedding-sum",
    text: uploadMatrix(gpu, { label: "text", rows: SIZES.vocabSize, cols, format }, source),
    tables: uploadTables(gpu, cols, tables),
    rows: input(gpu, "rows", packRows(rows)),
    levels: input(gpu, "levels", levels),
    tiles: input(gpu, "tiles", tiles),
    out: out.view,
    step: step(gpu, rows.length),
    workgroupSize,
  });
  await run(gpu, [embed], rows.length + 1);
  const actual = await out.f32();
  const expected = embeddingSumReference({
    ...SIZES,
    rows,
    text: toFloats(source),
    tables,
    levels,
    tiles,
    cols,
  });
  // The longest sum has 80 terms of size 1, then the norm brings it back to about 1.
  expectClose(actual.subarray(0, expected.length), expected, { absolute: 80 * 2 ** -24, relative: 1e-5 });
  expect([...actual.subarray(expected.length)].every(Number.isNaN)).toBe(true);
}

it("embedding-sum reference: clock and text worked by hand", () => {
  const cols = 1;
  const tables = {
    role: Float32Array.of(1000, 2000),
    clock: Float32Array.from({ length: 61 }, (_, i) => i),
    tile: Float32Array.of(0),
    audio: new Float32Array(1280),
    audioNorm: Float32Array.of(1),
  };
  const rows = [row(ROW_KIND.told, 1), row(ROW_KIND.said, 1), row(ROW_KIND.clock, 18_308)];
  const given = { ...SIZES, rows, text: [3, 4], tables, levels: [], tiles: [], cols };
  // Micro-turn 18308 ends at 3661.8 s = 1:01:01.8: tick 4, second 6, ten seconds 15, minute 22, ten minutes 31, hour 38.
  expect([...embeddingSumReference(given)]).toEqual([1004, 2004, 4 + 6 + 15 + 22 + 31 + 38]);
});

it("embedding-sum reference: onnxruntime's Gather and sum", async () => {
  const cols = 24;
  const tables = tablesOf(cols);
  const levels = integers(7, SIZES.frames * SIZES.nChannels, SIZES.nLevels);
  const graph = new OnnxGraph();
  const table = graph.constant("audio", "float32", [SIZES.nChannels * SIZES.nLevels, cols], tables.audio);
  const rowsOfTable = BigInt64Array.from(levels, (level, i) =>
    BigInt((i % SIZES.nChannels) * SIZES.nLevels + level),
  );
  const dims = [SIZES.frames, SIZES.nChannels];
  const gathered = graph.node("Gather", [table, graph.constant("at", "int64", dims, rowsOfTable)]);
  const sums = graph.node("ReduceSum", [gathered, graph.int64s([1])], {
    attributes: { keepdims: { int: 0 } },
  });
  const scale = graph.constant("norm", "float32", [cols], tables.audioNorm);
  const y = graph.node("SimplifiedLayerNormalization", [sums, scale], {
    attributes: { axis: { int: -1 }, epsilon: { float: SIZES.eps } },
    name: "y",
  });
  graph.output(y, "float32", [SIZES.frames, cols]);
  const rows = [0, 1, 2, 3].map((frame) => row(ROW_KIND.audio, frame));
  const expected = embeddingSumReference({ ...SIZES, rows, text: [], tables, levels, tiles: [], cols });
  expectClose(await runOnnx(graph), expected, { absolute: 80 * 2 ** -24, relative: 1e-5 });
});

describeOnGpu("embedding-sum", (gpu) => {
  for (const workgroupSize of [32, 64]) {
    for (const cols of [4, workgroupSize - 4, workgroupSize, workgroupSize + 4, 320]) {
      it(`workgroup ${workgroupSize}: ${cols} columns`, () => check(gpu, { cols, workgroupSize }));
    }
  }

  it("text in f16", () => check(gpu, { cols: 96, format: "f16" }));

  it("text in q8", () => check(gpu, { cols: 96, format: "q8" }));

  it("names a table of another length", () => {
    const tables = { ...tablesOf(8), clock: gaussian(1, 60 * 8) };
    expect(() => uploadTables(gpu, 8, tables)).toThrow(
      "embedding-sum: clock holds 480 elements, expected 488",
    );
  });
});
