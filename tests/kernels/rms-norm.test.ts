import { expect, it } from "vitest";
import { rmsNormReference } from "../../kernels/rms-norm/rms-norm.reference.ts";
import { createRmsNorm } from "../../kernels/rms-norm/rms-norm.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32: each element carries a few roundings, and the sum of squares of a long row loses little more. */
const LIMIT = { absolute: 1e-6, relative: 4e-6 };

interface Case {
  rows: number;
  cols: number;
  workgroupSize?: number;
  scale?: number;
}

async function check(gpu: Gpu, c: Case): Promise<void> {
  const x = gaussian(1, c.rows * c.cols, c.scale);
  const weight = gaussian(2, c.cols);
  const out = output(gpu, "out", x.length + c.cols);
  const norm = await createRmsNorm(gpu, {
    label: "rms-norm",
    cols: c.cols,
    eps: 1e-6,
    x: input(gpu, "x", x),
    weight: input(gpu, "weight", weight),
    out: out.view,
    step: step(gpu, c.rows),
    ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
  });
  // One row more than the step runs is launched: it must stay as it was.
  await run(gpu, [norm], c.rows + 1);
  const actual = await out.f32();
  expectClose(actual.subarray(0, x.length), rmsNormReference(x, weight, 1e-6), LIMIT);
  expect([...actual.subarray(x.length)].every(Number.isNaN)).toBe(true);
}

it("rms-norm reference: a row worked by hand", () => {
  // mean([3, 4]²) = 12.5; with eps 3.5 the root is 4.
  expect([...rmsNormReference([3, 4], [1, 2], 3.5)]).toEqual([0.75, 2]);
});

it("rms-norm reference: onnxruntime's SimplifiedLayerNormalization", async () => {
  const [rows, cols] = [3, 50];
  const x = gaussian(1, rows * cols);
  const weight = gaussian(2, cols);
  const graph = new OnnxGraph();
  const scale = graph.constant("scale", "float32", [cols], weight);
  const y = graph.node("SimplifiedLayerNormalization", [graph.input("x", "float32", [rows, cols]), scale], {
    attributes: { axis: { int: -1 }, epsilon: { float: 0.25 } },
    name: "y",
  });
  graph.output(y, "float32", [rows, cols]);
  const theirs = await runOnnx(graph, { x: { data: x, dims: [rows, cols] } });
  expectClose(theirs, rmsNormReference(x, weight, 0.25), LIMIT);
});

describeOnGpu("rms-norm", (gpu) => {
  for (const workgroupSize of [32, 64, 128]) {
    for (const cols of [1, workgroupSize - 1, workgroupSize, workgroupSize + 1, 3000]) {
      it(`workgroup ${workgroupSize}: ${cols} columns`, () => check(gpu, { rows: 3, cols, workgroupSize }));
    }
  }

  it("rows that are nearly zero are not blown up beyond eps", () =>
    check(gpu, { rows: 2, cols: 192, scale: 1e-5 }));

  it("large rows", () => check(gpu, { rows: 2, cols: 192, scale: 1e6 }));

  it("NaN stays in its row", async () => {
    const x = gaussian(1, 80);
    x[5] = NaN;
    const out = output(gpu, "out", 80);
    const norm = await createRmsNorm(gpu, {
      label: "rms-norm",
      cols: 40,
      eps: 1e-6,
      x: input(gpu, "x", x),
      weight: input(gpu, "weight", gaussian(2, 40)),
      out: out.view,
      step: step(gpu, 2),
    });
    await run(gpu, [norm], 2);
    const actual = await out.f32();
    expect([...actual.subarray(0, 40)].every(Number.isNaN)).toBe(true);
    expect([...actual.subarray(40)].some(Number.isNaN)).toBe(false);
  });

  it("names a weight of another length", async () => {
    const spec = {
      label: "out_norm",
      cols: 8,
      eps: 1e-6,
      x: input(gpu, "x", gaussian(1, 8)),
      weight: input(gpu, "weight", gaussian(2, 4)),
      out: output(gpu, "out", 8).view,
      step: step(gpu, 1),
    };
    await expect(createRmsNorm(gpu, spec)).rejects.toThrow(
      "out_norm: weight holds 4 elements, expected rows of 8",
    );
  });

  it("gives the same without subgroups", async () => {
    const plain = await openGpu({ features: [] });
    for (const cols of [1, 31, 32, 33, 192]) await check(plain, { rows: 3, cols });
    for (const cols of [63, 64, 65, 1000]) await check(plain, { rows: 3, cols, workgroupSize: 64 });
    plain.close();
  });
});
