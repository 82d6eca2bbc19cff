import { describe, expect, it } from "vitest";
import {
  type CausalConvShape,
  causalConvReference,
  eluReference,
  geluReference,
  leftContext,
} from "../../kernels/causal-conv/causal-conv.reference.ts";
import { type ConvTiling, createCausalConv } from "../../kernels/causal-conv/causal-conv.ts";
import {
  convWeights,
  foldedContext,
  foldedConvWeights,
  padded,
} from "../../kernels/causal-conv/conv-weights.ts";
import { createFrameRows, type FrameRows } from "../../kernels/frame-rows.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer, uploadBuffer, writeBuffer } from "../../src/gpu/buffers.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";
import { describeOnGpu, expectClose, gaussian, output, run } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** f32 over sums of up to a few hundred products of unit normals, scaled so that results are of order 1 to 3. */
const LIMIT = { absolute: 5e-6, relative: 5e-6 };

interface Case extends CausalConvShape {
  /** Rows of x a frame. */
  rows: number;
  frames?: number;
  tiling?: ConvTiling;
  replicate?: boolean;
  activation?: "elu" | "gelu";
  /** Rows of context kept of the outputs. */
  outContext?: number;
}

/** Rows of `channels`, each padded with zeros to a multiple of 4. */
function padRows(x: ArrayLike<number>, channels: number): Float32Array {
  const width = padded(channels);
  const out = new Float32Array((x.length / channels) * width);
  for (let i = 0; i < x.length; i++) out[Math.floor(i / channels) * width + (i % channels)] = x[i]!;
  return out;
}

/** The frame `index` of a whole signal behind the `context` rows before it, zeros before the first. */
function frameOf(x: Float32Array, index: number, rows: FrameRows): Float32Array {
  const out = new Float32Array((rows.context + rows.rows) * rows.channels);
  const end = (index + 1) * rows.rows * rows.channels;
  const start = end - out.length;
  out.set(x.subarray(Math.max(start, 0), end), Math.max(-start, 0));
  return out;
}

/** Runs frame by frame and compares each frame, with what it keeps of those before, with the whole signal's. */
async function check(gpu: Gpu, c: Case): Promise<void> {
  const frames = c.frames ?? 3;
  const [inWidth, outWidth] = [padded(c.inChannels), padded(c.outChannels)];
  const positions = c.rows / c.stride;
  const x = gaussian(1, frames * c.rows * c.inChannels);
  const weight = gaussian(2, c.outChannels * c.inChannels * c.taps, 1 / Math.sqrt(c.inChannels * c.taps));
  const bias = gaussian(3, c.outChannels);
  const residual = gaussian(4, frames * positions * c.outChannels);
  const summed = causalConvReference(c, x, weight, bias).map((y, i) => y + residual[i]!);
  const activated = (c.activation === "gelu" ? geluReference : eluReference)(summed);

  const rows = { channels: outWidth, context: c.outContext ?? 0, rows: positions };
  const source = createFrameRows(gpu, "x", { channels: inWidth, context: leftContext(c) + 1, rows: c.rows });
  const target = (label: string) => {
    const guarded = output(
      gpu,
      label,
      (rows.context + positions) * outWidth,
      new Float32Array((rows.context + positions) * outWidth),
    );
    return { guarded, rows: { ...rows, view: guarded.view } };
  };
  const [out, active] = [target("out"), target("activated")];
  const residualView = createBuffer(gpu, { label: "residual", sizeBytes: positions * outWidth * 4 });
  const start = createBuffer(gpu, { label: "start", sizeBytes: 16, role: "uniform" });
  const tensor = { ...c, weight, bias };
  const conv = await createCausalConv(gpu, {
    label: "conv",
    x: source,
    weights: convWeights("conv", tensor),
    stride: c.stride,
    dilation: c.dilation,
    residual: residualView,
    out: out.rows,
    activated: active.rows,
    activation: c.activation ?? "elu",
    ...(c.replicate ? { replicate: { start } } : {}),
    ...(c.tiling ? { tiling: c.tiling } : {}),
  });
  for (let frame = 0; frame < frames; frame++) {
    writeBuffer(gpu, source.view, frameOf(padRows(x, c.inChannels), frame, source));
    writeBuffer(
      gpu,
      residualView,
      frameOf(padRows(residual, c.outChannels), frame, { ...rows, context: 0, view: residualView }),
    );
    writeBuffer(gpu, start, Uint32Array.of(frame === 0 ? 1 : 0, 0, 0, 0));
    await run(gpu, [conv], 1);
    for (const [target, whole] of [
      [out, summed],
      [active, activated],
    ] as const) {
      const expected = frameOf(padRows(whole, c.outChannels), frame, target.rows);
      expectClose(await target.guarded.f32(), expected, LIMIT);
    }
  }
}

describe("causal-conv reference", () => {
  it("a convolution worked by hand", () => {
    const shape = { inChannels: 1, outChannels: 1, taps: 4, stride: 2, dilation: 1 };
    // Context 2: rows 0 0 | 1 2 3 4 with weights 1 10 100 1000.
    expect([...causalConvReference(shape, [1, 2, 3, 4], [1, 10, 100, 1000], [0.5])]).toEqual([
      2100.5, 4321.5,
    ]);
    // And 1 1 | 1 2 3 4 where the first row is replicated.
    const replicated = causalConvReference(
      { ...shape, replicate: true },
      [1, 2, 3, 4],
      [1, 10, 100, 1000],
      null,
    );
    expect([...replicated]).toEqual([2111, 4321]);
  });

  it("onnxruntime's Conv, strided and dilated", async () => {
    for (const [stride, dilation] of [
      [1, 1],
      [3, 1],
      [1, 4],
    ] as const) {
      const shape = { inChannels: 3, outChannels: 5, taps: 6, stride, dilation };
      const [rows, weight, bias] = [24, gaussian(2, 90), gaussian(3, 5)];
      const x = gaussian(1, rows * 3);
      const graph = new OnnxGraph();
      const channelsFirst = graph.node("Transpose", [graph.input("x", "float32", [1, rows, 3])], {
        attributes: { perm: { ints: [0, 2, 1] } },
      });
      const inputs = [
        channelsFirst,
        graph.constant("w", "float32", [5, 3, 6], weight),
        graph.constant("b", "float32", [5], bias),
      ];
      const attributes = {
        strides: { ints: [stride] },
        dilations: { ints: [dilation] },
        pads: { ints: [leftContext(shape), 0] },
      };
      const conv = graph.node("Conv", inputs, { attributes });
      graph.output(
        graph.node("Transpose", [conv], { attributes: { perm: { ints: [0, 2, 1] } }, name: "y" }),
        "float32",
        [1, rows / stride, 5],
      );
      const theirs = await runOnnx(graph, { x: { data: x, dims: [1, rows, 3] } });
      expectClose(theirs, causalConvReference(shape, x, weight, bias), { absolute: 1e-5 });
    }
  });

  it("known values of erf and exp", () => {
    // erf(0.5), erf(2.4) and erf(3.2) from tables; gelu(x) = x (1 + erf(x / √2)) / 2.
    const erfs = { 0.5: 0.5204998778130465, 2.4: 0.999311486103355, 3.2: 0.9999939742388482 };
    for (const [x, erf] of Object.entries(erfs)) {
      const y = Number(x) * Math.SQRT2;
      expectClose(geluReference([y, -y]), [(y * (1 + erf)) / 2, (-y * (1 - erf)) / 2], { absolute: 1e-14 });
    }
    expectClose(eluReference([2, 0, -Math.LN2]), [2, 0, -0.5], { absolute: 1e-15 });
  });
});

describe("conv weights", () => {
  it("over rows of several positions are the same convolution", () => {
    for (const [inChannels, outChannels, taps, fold] of [
      [1, 6, 7, 4],
      [5, 1, 3, 4],
      [1, 4, 1, 4],
      [1, 8, 12, 8],
    ] as const) {
      const weight = gaussian(1, outChannels * inChannels * taps);
      const bias = gaussian(2, outChannels);
      const folded = foldedConvWeights("conv", { inChannels, outChannels, taps, weight, bias }, fold);
      const x = gaussian(3, 4 * fold * inChannels);
      const inRows = inChannels === 1 ? x : padRows(x, inChannels);
      const shape = { taps: folded.taps, stride: 1, dilation: 1 };
      expect(leftContext(shape)).toBe(foldedContext(taps, fold));
      // The packed order is (taps, in, out), the reference's (out, in, taps).
      const { inChannels: wide, outChannels: tall } = folded;
      const unpacked = Float64Array.from({ length: folded.data.length }, (_, i) => {
        const k = i % folded.taps;
        const c = Math.floor(i / folded.taps) % wide;
        return folded.data[(k * wide + c) * tall + Math.floor(i / folded.taps / wide)]!;
      });
      const rows = causalConvReference(
        { ...shape, inChannels: wide, outChannels: tall },
        inRows,
        unpacked,
        folded.bias,
      );
      const whole = causalConvReference(
        { inChannels, outChannels, taps, stride: 1, dilation: 1 },
        x,
        weight,
        bias,
      );
      expectClose(rows, outChannels === 1 ? whole : padRows(whole, outChannels), { absolute: 1e-5 });
    }
  });

  it("names a weight of another length, and rows that are no whole vec4", () => {
    const tensor = { inChannels: 1, outChannels: 4, taps: 3, weight: new Float32Array(11), bias: null };
    expect(() => convWeights("conv0", tensor)).toThrow("conv0: weight holds 11 elements, expected 12");
    expect(() => foldedConvWeights("conv0", { ...tensor, weight: new Float32Array(12) }, 3)).toThrow(
      "conv0: maps rows of 3 to rows of 12 channels, expected multiples of 4",
    );
  });
});

const SMALL: Case = { inChannels: 5, outChannels: 6, taps: 3, stride: 1, dilation: 1, rows: 8 };

function suite(gpu: Gpu): void {
  for (const rows of [1, 2, 3, 4, 5, 9]) it(`${rows} rows a frame`, () => check(gpu, { ...SMALL, rows }));

  for (const outContext of [1, 7, 8, 9, 30])
    it(`keeps ${outContext} of 8 rows a frame`, () => check(gpu, { ...SMALL, outContext, frames: 5 }));

  it("strides and dilations", async () => {
    await check(gpu, { ...SMALL, taps: 8, stride: 4 });
    await check(gpu, { ...SMALL, taps: 5, stride: 2, rows: 6 });
    await check(gpu, { ...SMALL, taps: 16, stride: 8 });
    await check(gpu, { ...SMALL, dilation: 2 });
    await check(gpu, { ...SMALL, dilation: 4, rows: 3 });
    await check(gpu, { ...SMALL, taps: 1 });
  });

  it("begins with copies of the first row", async () => {
    await check(gpu, { ...SMALL, taps: 4, stride: 2, rows: 2, replicate: true });
    await check(gpu, { ...SMALL, taps: 4, rows: 3, replicate: true });
  });

  it("gelu", () => check(gpu, { ...SMALL, activation: "gelu", outChannels: 40 }));

  for (const [tile, items, splits] of [
    [1, 7, 1],
    [2, 8, 2],
    [3, 1, 1],
    [4, 8, 4],
  ] as const)
    it(`tile ${tile}, ${items} items of ${splits} threads`, () =>
      check(gpu, {
        ...SMALL,
        inChannels: 36,
        outChannels: 28,
        rows: 7,
        frames: 2,
        tiling: { tile, items, splits },
      }));

  it("channels around a workgroup's items", async () => {
    for (const channels of [1, 4, 31, 32, 33, 130])
      await check(gpu, { ...SMALL, inChannels: channels, outChannels: channels, frames: 1 });
  });
}

describeOnGpu("causal-conv", (gpu) => {
  suite(gpu);

  it("is the same without optional features", async () => {
    const plain = await openGpu({ features: [] });
    await check(plain, { ...SMALL, outContext: 9 });
    await check(plain, { ...SMALL, tiling: { tile: 2, items: 8, splits: 4 }, inChannels: 64 });
    plain.close();
  });

  it("NaN reaches only the rows that see it", async () => {
    const x = createFrameRows(gpu, "x", { channels: 4, context: 2, rows: 8 });
    const signal = gaussian(1, 40);
    signal[2 * 4 + 3 * 4 + 1] = Number.NaN;
    writeBuffer(gpu, x.view, signal);
    const out = output(gpu, "out", 32);
    const weights = convWeights("conv", {
      inChannels: 4,
      outChannels: 4,
      taps: 3,
      weight: gaussian(2, 48),
      bias: null,
    });
    const conv = await createCausalConv(gpu, {
      label: "conv",
      x,
      weights,
      out: { view: out.view, channels: 4, context: 0, rows: 8 },
    });
    await run(gpu, [conv], 1);
    const rows = [...(await out.f32())].map(Number.isNaN);
    expect(rows).toEqual(Array.from({ length: 32 }, (_, i) => i >= 12 && i < 24));
  });

  it("names what does not fit", async () => {
    const x = createFrameRows(gpu, "x", { channels: 4, context: 2, rows: 6 });
    const out = createFrameRows(gpu, "out", { channels: 4, context: 0, rows: 6 });
    const weights = (taps: number, inChannels = 4) =>
      convWeights("conv", {
        inChannels,
        outChannels: 4,
        taps,
        weight: new Float32Array(4 * inChannels * taps),
        bias: null,
      });
    const refused = (spec: Partial<Parameters<typeof createCausalConv>[1]>, message: string) =>
      expect(createCausalConv(gpu, { label: "conv", x, weights: weights(3), out, ...spec })).rejects.toThrow(
        message,
      );
    await refused({ stride: 4 }, "conv: a frame has 6 rows, expected a multiple of the stride 4");
    await refused({ weights: weights(3, 8) }, "conv: x has 4 channels, the weights take 8");
    await refused({ weights: weights(4) }, "conv: x keeps 2 rows of context, 4 taps at stride 1 need 3");
    await refused({ stride: 2 }, "conv: a frame of out holds 24 elements, expected 12");
    const residual = uploadBuffer(gpu, { label: "residual" }, new Float32Array(20));
    await refused({ residual }, "conv: residual holds 20 elements, expected 24");
  });
});
