import { expect, it } from "vitest";
import { sigmoidGateReference } from "../../kernels/sigmoid-gate/sigmoid-gate.reference.ts";
import { createSigmoidGate } from "../../kernels/sigmoid-gate/sigmoid-gate.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32, with an exp that WGSL allows 3 + 2 |argument| units: of gates up to 1, over sums that lose little more. */
const LIMIT = { absolute: 4e-6, relative: 4e-6 };

const BIAS = -4;

interface Case {
  rows: number;
  cols: number;
  workgroupSize?: number;
  /** Spread of the logits. */
  scale?: number;
}

async function check(gpu: Gpu, c: Case): Promise<void> {
  const length = c.rows * c.cols;
  // One row more than the step runs is there and is launched: it must stay as it was.
  const x = gaussian(1, length + c.cols);
  const update = gaussian(2, length + c.cols);
  const logit = gaussian(3, length + c.cols, c.scale ?? 3);
  const out = output(gpu, "x", x.length, x);
  const maxRows = c.rows + 1;
  const opening = output(gpu, "opening", 3 * maxRows);
  const gate = await createSigmoidGate(gpu, {
    label: "gate",
    cols: c.cols,
    bias: BIAS,
    logit: input(gpu, "logit", logit),
    update: input(gpu, "update", update),
    x: out.view,
    opening: opening.view,
    place: 1,
    maxRows,
    step: step(gpu, c.rows),
    ...(c.workgroupSize ? { workgroupSize: c.workgroupSize } : {}),
  });
  await run(gpu, [gate], maxRows);
  const live = (data: Float32Array) => data.subarray(0, length);
  const expected = sigmoidGateReference(live(x), live(update), live(logit), { cols: c.cols, bias: BIAS });
  const actual = await out.f32();
  expectClose(live(actual), expected.x, LIMIT);
  expect([...actual.subarray(length)]).toEqual([...x.subarray(length)]);
  const openings = await opening.f32();
  expectClose(openings.subarray(maxRows, maxRows + c.rows), expected.opening, LIMIT);
  const others = [...openings.subarray(0, maxRows), ...openings.subarray(maxRows + c.rows)];
  expect(others.every(Number.isNaN)).toBe(true);
}

it("sigmoid-gate reference: a row worked by hand", () => {
  // Gates of 1/2 and, 1 / (1 + e^-ln 3), of 3/4.
  const { x, opening } = sigmoidGateReference([10, 20], [4, 8], [1, 1 + Math.log(3)], { cols: 2, bias: -1 });
  expectClose(x, [12, 26], { absolute: 1e-12 });
  expectClose(opening, [0.625], { absolute: 1e-12 });
});

it("sigmoid-gate reference: onnxruntime's Sigmoid", async () => {
  const [rows, cols] = [3, 50];
  const logit = gaussian(3, rows * cols, 3);
  const update = gaussian(2, rows * cols);
  const graph = new OnnxGraph();
  const gate = graph.node("Sigmoid", [graph.input("logit", "float32", [rows, cols])]);
  const shift = graph.constant("update", "float32", [rows, cols], update);
  graph.output(graph.node("Mul", [gate, shift], { name: "y" }), "float32", [rows, cols]);
  const theirs = await runOnnx(graph, { logit: { data: logit, dims: [rows, cols] } });
  const zeros = new Float32Array(rows * cols);
  expectClose(theirs, sigmoidGateReference(zeros, update, logit, { cols, bias: 0 }).x, LIMIT);
});

describeOnGpu("sigmoid-gate", (gpu) => {
  for (const workgroupSize of [32, 64, 256]) {
    for (const cols of [1, workgroupSize - 1, workgroupSize, workgroupSize + 1, 3000]) {
      it(`workgroup ${workgroupSize}: ${cols} columns`, () => check(gpu, { rows: 3, cols, workgroupSize }));
    }
  }

  it("gates that are shut or wide open", () => check(gpu, { rows: 2, cols: 200, scale: 300 }));

  it("NaN stays in its row", async () => {
    const logit = gaussian(3, 80);
    logit[5] = Number.NaN;
    const x = output(gpu, "x", 80, gaussian(1, 80));
    const opening = output(gpu, "opening", 2);
    const gate = await createSigmoidGate(gpu, {
      label: "gate",
      cols: 40,
      bias: BIAS,
      logit: input(gpu, "logit", logit),
      update: input(gpu, "update", gaussian(2, 80)),
      x: x.view,
      opening: opening.view,
      place: 0,
      maxRows: 2,
      step: step(gpu, 2),
    });
    await run(gpu, [gate], 2);
    expect([...(await opening.f32())].map(Number.isNaN)).toEqual([true, false]);
    expect([...(await x.f32())].map(Number.isNaN)).toEqual(Array.from({ length: 80 }, (_, i) => i === 5));
  });

  it("names a buffer that cannot hold its rows", async () => {
    const spec = {
      label: "layers.3 gate",
      cols: 8,
      bias: BIAS,
      logit: input(gpu, "logit", gaussian(1, 8)),
      update: input(gpu, "update", gaussian(2, 4)),
      x: output(gpu, "x", 8).view,
      opening: output(gpu, "opening", 4).view,
      place: 3,
      maxRows: 1,
      step: step(gpu, 1),
    };
    await expect(createSigmoidGate(gpu, spec)).rejects.toThrow(
      "layers.3 gate: update holds 4 elements, expected 8",
    );
    const update = input(gpu, "update", gaussian(2, 8));
    await expect(createSigmoidGate(gpu, { ...spec, update, place: 4 })).rejects.toThrow(
      "opening holds 4 elements, expected 5",
    );
  });
});
