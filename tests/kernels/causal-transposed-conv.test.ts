import { describe, expect, it } from "vitest";
import { createCausalConv } from "../../kernels/causal-conv/causal-conv.ts";
import {
  causalTransposedConvReference,
  type TransposedConvShape,
} from "../../kernels/causal-transposed-conv/causal-transposed-conv.reference.ts";
import { transposedConvWeights } from "../../kernels/causal-transposed-conv/transposed-conv-weights.ts";
import { createFrameRows } from "../../kernels/frame-rows.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { writeBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, output, run } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32 over sums of some dozens of products of unit normals. */
const LIMIT = { absolute: 1e-5, relative: 5e-6 };

function random(shape: TransposedConvShape, rows: number) {
  const { inChannels, outChannels, taps, depthwise = false } = shape;
  return {
    x: gaussian(1, rows * inChannels),
    weight: gaussian(2, inChannels * (depthwise ? 1 : outChannels) * taps),
    bias: gaussian(3, outChannels),
  };
}

/** Runs frame by frame and compares with the whole signal's. Channels are multiples of 4. */
async function check(gpu: Gpu, shape: TransposedConvShape, rows: number, withBias = true): Promise<void> {
  const frames = 4;
  const { x, weight, bias } = random(shape, frames * rows);
  const { inChannels, outChannels, stride } = shape;
  const whole = causalTransposedConvReference(shape, x, weight, withBias ? bias : null);
  const weights = transposedConvWeights("convtr", { ...shape, weight, bias: withBias ? bias : null });
  const source = createFrameRows(gpu, "x", { channels: inChannels, context: weights.taps - 1, rows });
  const frameLength = rows * stride * outChannels;
  const out = output(gpu, "out", frameLength);
  const conv = await createCausalConv(gpu, {
    label: "convtr",
    x: source,
    weights,
    out: { view: out.view, channels: outChannels, context: 0, rows: rows * stride },
  });
  for (let frame = 0; frame < frames; frame++) {
    const held = new Float32Array((weights.taps - 1 + rows) * inChannels);
    const end = (frame + 1) * rows * inChannels;
    const start = end - held.length;
    held.set(x.subarray(Math.max(start, 0), end), Math.max(-start, 0));
    writeBuffer(gpu, source.view, held);
    await run(gpu, [conv], 1);
    expectClose(await out.f32(), whole.subarray(frame * frameLength, (frame + 1) * frameLength), LIMIT);
  }
}

describe("causal-transposed-conv reference", () => {
  it("a signal worked by hand: overlaps are added, the bias once", () => {
    const shape = { inChannels: 1, outChannels: 1, taps: 4, stride: 2 };
    // 1 -> 1 10 100 1000, two later 2 -> 2 20 (200 2000 cut off); 0.5 on each.
    const y = causalTransposedConvReference(shape, [1, 2], [1, 10, 100, 1000], [0.5]);
    expect([...y]).toEqual([1.5, 10.5, 102.5, 1020.5]);
  });

  it("onnxruntime's ConvTranspose without its tail, dense and depthwise", async () => {
    for (const depthwise of [false, true]) {
      const [rows, inChannels, outChannels, taps, stride] = [5, 6, depthwise ? 6 : 3, 8, 4];
      const shape = { inChannels, outChannels, taps, stride, depthwise };
      const { x, weight, bias } = random(shape, rows);
      const graph = new OnnxGraph();
      const turned = { attributes: { perm: { ints: [0, 2, 1] } } };
      const inputs = [
        graph.node("Transpose", [graph.input("x", "float32", [1, rows, inChannels])], turned),
        graph.constant("w", "float32", [inChannels, depthwise ? 1 : outChannels, taps], weight),
        graph.constant("b", "float32", [outChannels], bias),
      ];
      const attributes = {
        strides: { ints: [stride] },
        group: { int: depthwise ? inChannels : 1 },
        pads: { ints: [0, taps - stride] },
      };
      const conv = graph.node("ConvTranspose", inputs, { attributes });
      graph.output(graph.node("Transpose", [conv], { ...turned, name: "y" }), "float32", [
        1,
        rows * stride,
        outChannels,
      ]);
      const theirs = await runOnnx(graph, { x: { data: x, dims: [1, rows, inChannels] } });
      expectClose(theirs, causalTransposedConvReference(shape, x, weight, bias), LIMIT);
    }
  });
});

describe("transposed-conv weights", () => {
  it("name a weight or bias of another length, and a depthwise one that changes the channels", () => {
    const tensor = {
      inChannels: 4,
      outChannels: 8,
      taps: 4,
      stride: 2,
      weight: new Float32Array(128),
      bias: null,
    };
    expect(() => transposedConvWeights("up", { ...tensor, taps: 5 })).toThrow(
      "up: weight holds 128 elements, expected 160",
    );
    expect(() => transposedConvWeights("up", { ...tensor, bias: new Float32Array(4) })).toThrow(
      "up: bias holds 4 elements, expected 8",
    );
    const depthwise = { ...tensor, depthwise: true, weight: new Float32Array(16) };
    expect(() => transposedConvWeights("up", depthwise)).toThrow("up: a row holds 8 elements, expected 4");
  });
});

describeOnGpu("causal-transposed-conv", (gpu) => {
  for (const rows of [1, 2, 5])
    it(`${rows} rows a frame`, async () => {
      await check(gpu, { inChannels: 12, outChannels: 8, taps: 8, stride: 4 }, rows);
      await check(gpu, { inChannels: 12, outChannels: 8, taps: 10, stride: 5 }, rows, false);
    });

  it("kernels that are no two strides long", async () => {
    await check(gpu, { inChannels: 4, outChannels: 4, taps: 3, stride: 3 }, 2);
    await check(gpu, { inChannels: 4, outChannels: 4, taps: 7, stride: 2 }, 2);
    await check(gpu, { inChannels: 4, outChannels: 4, taps: 5, stride: 1 }, 2);
  });

  it("depthwise", () =>
    check(gpu, { inChannels: 12, outChannels: 12, taps: 4, stride: 2, depthwise: true }, 1, false));

  it("channels that are no whole vec4 are zeros beyond them", async () => {
    const shape = { inChannels: 3, outChannels: 2, taps: 4, stride: 2 };
    const { weight, bias } = random(shape, 1);
    const weights = transposedConvWeights("convtr", { ...shape, weight, bias });
    const source = createFrameRows(gpu, "x", { channels: 4, context: 1, rows: 1 });
    writeBuffer(gpu, source.view, Float32Array.of(0, 0, 0, 0, 1, 2, 3, 0));
    const out = output(gpu, "out", 8);
    const rows = { view: out.view, channels: 4, context: 0, rows: 2 };
    await run(gpu, [await createCausalConv(gpu, { label: "convtr", x: source, weights, out: rows })], 1);
    const [a, b, c, d] = causalTransposedConvReference(shape, [1, 2, 3], weight, bias);
    expectClose(await out.f32(), [a!, b!, 0, 0, c!, d!, 0, 0], LIMIT);
  });
});
