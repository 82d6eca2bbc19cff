import { expect, it } from "vitest";
import { layerNormReference } from "../../kernels/layer-norm/layer-norm.reference.ts";
import { createLayerNorm } from "../../kernels/layer-norm/layer-norm.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32: each element carries a few roundings, and the sums of a long row lose little more. */
const LIMIT = { absolute: 4e-6, relative: 4e-6 };
const EPS = 1e-5;

interface Case {
  rows: number;
  cols: number;
  workgroupSize?: number;
  scale?: number;
  /** Added to every x. */
  offset?: number;
  limit?: { absolute: number; relative: number };
}

async function check(gpu: Gpu, c: Case): Promise<void> {
  const x = gaussian(1, c.rows * c.cols, c.scale).map((value) => value + (c.offset ?? 0));
  const weight = gaussian(2, c.cols);
  const bias = gaussian(3, c.cols);
  const out = output(gpu, "out", x.length + c.cols);
  const norm = await createLayerNorm(gpu, {
    label: "layer-norm",
    cols: c.cols,
    eps: EPS,
    x: input(gpu, "x", x),
    weight: input(gpu, "weight", weight),
    bias: input(gpu, "bias", bias),
    out: out.view,
    step: step(gpu, c.rows),
    ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
  });
  // One row more than the step runs is launched: it must stay as it was.
  await run(gpu, [norm], c.rows + 1);
  const actual = await out.f32();
  expectClose(actual.subarray(0, x.length), layerNormReference(x, weight, bias, EPS), c.limit ?? LIMIT);
  expect([...actual.subarray(x.length)].every(Number.isNaN)).toBe(true);
}

it("layer-norm reference: a row worked by hand", () => {
  // mean 4, variance 9; with eps 7 the root is 4.
  expect([...layerNormReference([1, 7], [4, 8], [10, 20], 7)]).toEqual([7, 26]);
});

it("layer-norm reference: onnxruntime's LayerNormalization", async () => {
  const [rows, cols] = [3, 50];
  const [x, weight, bias] = [gaussian(1, rows * cols), gaussian(2, cols), gaussian(3, cols)];
  const graph = new OnnxGraph();
  const inputs = [
    graph.input("x", "float32", [rows, cols]),
    graph.constant("weight", "float32", [cols], weight),
    graph.constant("bias", "float32", [cols], bias),
  ];
  const y = graph.node("LayerNormalization", inputs, {
    attributes: { axis: { int: -1 }, epsilon: { float: 0.25 } },
    name: "y",
  });
  graph.output(y, "float32", [rows, cols]);
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  expectClose(theirs, layerNormReference(x, weight, bias, 0.25), LIMIT);
});

describeOnGpu("layer-norm", (gpu) => {
  for (const workgroupSize of [32, 64, 128]) {
    for (const cols of [1, workgroupSize - 1, workgroupSize, workgroupSize + 1, 3000]) {
      it(`workgroup ${workgroupSize}: ${cols} columns`, () => check(gpu, { rows: 3, cols, workgroupSize }));
    }
  }

  it("rows that are nearly constant are not blown up beyond eps", () =>
    check(gpu, { rows: 2, cols: 192, scale: 1e-5 }));

  // The mean itself is rounded to 2^-24 of 100: 6e-6, times weights of up to 3.
  it("rows of a mean a hundred times their spread", () =>
    check(gpu, { rows: 2, cols: 512, offset: 100, limit: { absolute: 1e-4, relative: 4e-6 } }));

  it("large rows", () => check(gpu, { rows: 2, cols: 192, scale: 1e6 }));

  it("NaN stays in its row", async () => {
    const x = gaussian(1, 80);
    x[5] = NaN;
    const out = output(gpu, "out", 80);
    const norm = await createLayerNorm(gpu, {
      label: "layer-norm",
      cols: 40,
      eps: EPS,
      x: input(gpu, "x", x),
      weight: input(gpu, "weight", gaussian(2, 40)),
      bias: input(gpu, "bias", gaussian(3, 40)),
      out: out.view,
      step: step(gpu, 2),
    });
    await run(gpu, [norm], 2);
    const actual = await out.f32();
    expect([...actual.subarray(0, 40)].every(Number.isNaN)).toBe(true);
    expect([...actual.subarray(40)].some(Number.isNaN)).toBe(false);
  });

  it("names a bias of another length", async () => {
    const spec = {
      label: "norm1",
      cols: 8,
      eps: EPS,
      x: input(gpu, "x", gaussian(1, 8)),
      weight: input(gpu, "weight", gaussian(2, 8)),
      bias: input(gpu, "bias", gaussian(2, 4)),
      out: output(gpu, "out", 8).view,
      step: step(gpu, 1),
    };
    await expect(createLayerNorm(gpu, spec)).rejects.toThrow(
      "norm1: bias holds 4 elements, expected rows of 8",
    );
  });

  it("gives the same without subgroups", async () => {
    const plain = await openGpu({ features: [] });
    for (const cols of [1, 31, 32, 33, 192]) await check(plain, { rows: 3, cols });
    for (const cols of [63, 64, 65, 1000]) await check(plain, { rows: 3, cols, workgroupSize: 64 });
    plain.close();
  });
});
