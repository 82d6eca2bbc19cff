import { expect, it } from "vitest";
import { gatedMlpReference } from "../../kernels/gated-mlp/gated-mlp.reference.ts";
import { createGatedMlp, createGatedMlps } from "../../kernels/gated-mlp/gated-mlp.ts";
import {
  fromHalf,
  type MatrixFormat,
  type MatrixSource,
  quantize,
  quantizeQ4,
  toFloats,
  toHalf,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

interface Case {
  rows: number;
  cols: number;
  outCols: number;
  format?: MatrixFormat;
  scale?: number;
  tiling?: { rowTile: number; workgroupSize: number; rowsPerGroup: number };
  /** Rows of a part of the matrix. Default: all. */
  partRows?: number;
}

function stored(data: Float32Array, format: MatrixFormat): MatrixSource {
  if (format === "q8") return quantize(data);
  if (format === "q4") return quantizeQ4(data);
  return { kind: "f32", data: format === "f16" ? data.map((value) => fromHalf(toHalf(value))) : data };
}

async function check(gpu: Gpu, c: Case): Promise<void> {
  const { rows, cols, outCols, format = "f32" } = c;
  const x = gaussian(1, rows * cols);
  const norm = gaussian(2, cols, c.scale ?? 1);
  const source = stored(gaussian(3, 2 * outCols * cols), format);
  const out = output(gpu, "out", (rows + 2) * outCols);
  const bits = { f32: 32, f16: 16, q8: 8, q4: 4 }[format];
  const maxPartBytes = c.partRows ? (c.partRows * cols * bits) / 8 + 16 : undefined;
  const size = { label: "w", rows: 2 * outCols, cols, format };
  const gateUp = uploadMatrix(gpu, { ...size, ...(maxPartBytes ? { maxPartBytes } : {}) }, source);
  if (c.partRows) expect(gateUp.parts[0]!.rows).toBe(Math.min(c.partRows, 2 * outCols));
  const kernels = await createGatedMlps(gpu, {
    label: "gated-mlp",
    x: input(gpu, "x", x),
    norm: { weight: input(gpu, "norm", norm), eps: 0.5 },
    gateUp,
    out: out.view,
    step: step(gpu, rows),
    ...(c.tiling ? { tilings: [c.tiling] } : {}),
  });
  // One for each pair of parts that hold the gates and the ups of some outputs.
  const partOf = (row: number) => Math.floor(row / (c.partRows ?? 2 * outCols));
  const pairs = Array.from({ length: outCols }, (_, n) => `${partOf(n)} ${partOf(outCols + n)}`);
  expect(kernels).toHaveLength(new Set(pairs).size);
  await run(gpu, kernels, rows);
  const actual = await out.f32();
  const expected = gatedMlpReference(x, norm, toFloats(source), 0.5);
  // Both factors are f32 sums of `cols` terms with the rounding of sqrt(cols) · 2^-24 of their spread sqrt(cols), and each
  // carries the other's size: up to a few times sqrt(cols).
  const largest = (c.scale ?? 1) ** 2 * cols;
  expectClose(actual.subarray(0, expected.length), expected, {
    absolute: 8 * Math.sqrt(cols) * largest * 2 ** -24,
    relative: 2 ** -18,
  });
  expect([...actual.subarray(expected.length)].every(Number.isNaN)).toBe(true);
}

it("gated-mlp reference: an output worked by hand", () => {
  // mean(2²) = 4, eps 0: y = 1. gate = 3, up = 5: 3 / (1 + e^-3) · 5.
  const [value] = gatedMlpReference([2], [1], [3, 5], 0);
  expect(value).toBeCloseTo(14.2886, 4);
  // Two outputs of two rows: gates are rows 0 and 1 of w, ups rows 2 and 3.
  const both = gatedMlpReference([1, -1], [1], [100, 200, 3, 5], 0);
  expect([...both].map(Math.round)).toEqual([300, 1000, 0, 0]);
});

it("gated-mlp reference: onnxruntime, operator by operator", async () => {
  const [rows, cols, outCols] = [3, 48, 20];
  const [x, norm, w] = [gaussian(1, rows * cols), gaussian(2, cols), gaussian(3, 2 * outCols * cols)];
  const graph = new OnnxGraph();
  const scale = graph.constant("norm", "float32", [cols], norm);
  const normed = graph.node(
    "SimplifiedLayerNormalization",
    [graph.input("x", "float32", [rows, cols]), scale],
    {
      attributes: { axis: { int: -1 }, epsilon: { float: 0.5 } },
    },
  );
  const half = (name: string, first: number) => {
    const part = w.slice(first, first + outCols * cols);
    const across = graph.node("Transpose", [graph.constant(name, "float32", [outCols, cols], part)]);
    return graph.node("MatMul", [normed, across]);
  };
  const gate = half("gate", 0);
  const silu = graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
  graph.output(graph.node("Mul", [silu, half("up", outCols * cols)], { name: "y" }), "float32", [
    rows,
    outCols,
  ]);
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  // Factors of size sqrt(cols), each with a few f32 roundings.
  expectClose(theirs, gatedMlpReference(x, norm, w, 0.5), { absolute: 1e-3 });
});

describeOnGpu("gated-mlp", (gpu) => {
  for (const format of ["f32", "f16", "q8", "q4"] as const) {
    for (const outCols of [1, 7, 8, 9, 65]) {
      it(`${format}: ${outCols} outputs around the workgroup's 8`, () =>
        check(gpu, { rows: 2, cols: 64, outCols, format }));
    }
    for (const rows of [1, 3, 4, 7]) {
      it(`${format}: ${rows} rows around the tiles`, () =>
        check(gpu, { rows, cols: 192, outCols: 20, format }));
    }
  }

  // 22 rows: 11 gates, 11 ups. A part ends inside the gates, between the two, inside the ups; there are many; each is a row.
  for (const partRows of [21, 15, 12, 11, 10, 7, 4, 3, 1]) {
    it(`parts of ${partRows} rows of 22, in every format`, async () => {
      for (const format of ["f32", "f16", "q8", "q4"] as const)
        await check(gpu, { rows: 2, cols: 96, outCols: 11, format, partRows });
    });
  }

  it("refuses parts where there is to be one dispatch", async () => {
    const source = { kind: "f32", data: gaussian(1, 8 * 32) } as const;
    const gateUp = uploadMatrix(
      gpu,
      { label: "w", rows: 8, cols: 32, format: "f32", maxPartBytes: 528 },
      source,
    );
    const view = input(gpu, "any", gaussian(2, 32));
    const spec = { label: "layers.1.gate_up", x: view, gateUp, out: view, step: step(gpu, 1) };
    const norm = { weight: view, eps: 1e-6 };
    await expect(createGatedMlp(gpu, { ...spec, norm })).rejects.toThrow("layers.1.gate_up: takes 2 buffers");
  });

  for (const cols of [4, 28, 32, 36, 1024]) {
    it(`${cols} columns around the subgroup's reach`, () => check(gpu, { rows: 1, cols, outCols: 5 }));
  }

  for (const rowsPerGroup of [4, 20, 64]) {
    it(`workgroup 64, ${rowsPerGroup} rows of w`, () =>
      check(gpu, {
        rows: 3,
        cols: 64,
        outCols: 33,
        tiling: { rowTile: 1, workgroupSize: 64, rowsPerGroup },
      }));
  }

  it("gates far below zero give zero, not NaN", () =>
    check(gpu, { rows: 2, cols: 64, outCols: 40, scale: 1000 }));

  it("runs nothing once the block is closed", async () => {
    const out = output(gpu, "out", 4);
    const source = { kind: "f32", data: gaussian(1, 8 * 32) } as const;
    const mlp = await createGatedMlp(gpu, {
      label: "gated-mlp",
      x: input(gpu, "x", gaussian(2, 32)),
      norm: { weight: input(gpu, "norm", gaussian(3, 32)), eps: 1e-6 },
      gateUp: uploadMatrix(gpu, { label: "w", rows: 8, cols: 32, format: "f32" }, source),
      out: out.view,
      step: step(gpu, 0),
    });
    await run(gpu, [mlp], 1);
    expect([...(await out.f32())].every(Number.isNaN)).toBe(true);
  });

  it("names what does not fit", async () => {
    const source = { kind: "f32", data: gaussian(1, 3 * 32) } as const;
    const spec = {
      label: "layers.1.gate_up",
      x: input(gpu, "x", gaussian(2, 32)),
      norm: { weight: input(gpu, "norm", gaussian(3, 32)), eps: 1e-6 },
      gateUp: uploadMatrix(gpu, { label: "w", rows: 3, cols: 32, format: "f32" }, source),
      out: output(gpu, "out", 4).view,
      step: step(gpu, 1),
    };
    await expect(createGatedMlp(gpu, spec)).rejects.toThrow("layers.1.gate_up: gateUp has 3 rows");
  });

  it("gives the same without subgroups", async () => {
    const plain = await openGpu({ features: [] });
    for (const format of ["f32", "f16", "q8", "q4"] as const) {
      await check(plain, { rows: 4, cols: 64, outCols: 33, format });
    }
    for (const format of ["f32", "f16", "q8", "q4"] as const)
      await check(plain, { rows: 2, cols: 96, outCols: 11, format, partRows: 4 });
    await check(plain, { rows: 1, cols: 64, outCols: 40, scale: 1000 });
    plain.close();
  });
});
