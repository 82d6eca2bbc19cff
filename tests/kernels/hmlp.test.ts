import { describe, expect, it } from "vitest";
import { erf, gelu, type HmlpShape, hmlpReference } from "../../kernels/hmlp/hmlp.reference.ts";
import { createHmlp } from "../../kernels/hmlp/hmlp.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { describeOnGpu, expectClose, gaussian, input, integers, output, run } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** Weights that keep the size of what passes through them. */
function randomLayers(shape: HmlpShape, seed: number) {
  let channels = 3;
  return shape.folds.map(({ t, h, out }, i) => {
    const inputs = t * h * h * channels;
    channels = out;
    const isLast = i === shape.folds.length - 1;
    return {
      weight: gaussian(seed + i, out * inputs, 1 / Math.sqrt(inputs)),
      norm: isLast ? null : gaussian(seed + 100 + i, out),
    };
  });
}

function randomVideo(shape: HmlpShape, seed: number): Int8Array {
  return Int8Array.from(integers(seed, 2 * shape.width * shape.height * 3, 255), (value) => value - 127);
}

const SHIPPED: HmlpShape = {
  width: 80,
  height: 80,
  tile: 40,
  folds: [
    { t: 1, h: 4, out: 64 },
    { t: 1, h: 2, out: 128 },
    { t: 1, h: 5, out: 192 },
    { t: 2, h: 1, out: 192 },
  ],
  normEps: 1e-6,
};

/** Odd ways to fold: positions that are no multiple of 4, one layer, time first, a fold of nothing, wide frames. */
const SHAPES: [string, HmlpShape][] = [
  ["shipped", SHIPPED],
  ["one tile of one fold", { width: 3, height: 3, tile: 3, folds: [{ t: 2, h: 3, out: 4 }], normEps: 1e-6 }],
  [
    "time first, 6 x 1 tiles",
    {
      width: 24,
      height: 4,
      tile: 4,
      folds: [
        { t: 2, h: 1, out: 12 },
        { t: 1, h: 4, out: 260 },
      ],
      normEps: 1e-3,
    },
  ],
  [
    "positions no multiple of 4, 1 x 3 tiles",
    {
      width: 6,
      height: 18,
      tile: 6,
      folds: [
        { t: 1, h: 2, out: 8 },
        { t: 1, h: 1, out: 20 },
        { t: 2, h: 3, out: 16 },
      ],
      normEps: 1e-6,
    },
  ],
];

describe("hmlp reference", () => {
  it("knows the error function", () => {
    // DLMF table 7.23, and erf's symmetry.
    expect(erf(0)).toBe(0);
    expect(erf(0.5)).toBeCloseTo(0.5204998778130465, 14);
    expect(erf(-1)).toBeCloseTo(-0.8427007929497149, 14);
    expect(erf(3)).toBeCloseTo(0.9999779095030014, 14);
    expect(gelu(1)).toBeCloseTo(0.8413447460685429, 14);
  });

  it("folds a tile as worked by hand", () => {
    // 1 x 1 pixels: each frame's three channels go to two outputs, (1, -1) times their sum and difference; the norm
    // brings (a, b) to (a, b) / rms; the last fold adds up frame 0 and takes frame 1 away.
    const shape: HmlpShape = {
      width: 1,
      height: 1,
      tile: 1,
      folds: [
        { t: 1, h: 1, out: 2 },
        { t: 2, h: 1, out: 1 },
      ],
      normEps: 0,
    };
    const layers = [
      { weight: [1, 1, 1, 1, -1, 0], norm: [1, 2] },
      { weight: [1, 1, -1, -1], norm: null },
    ];
    // Frame 0: (32, 64, 0) / 32 = (1, 2, 0) -> (3, -1), rms sqrt 5. Frame 1: (0, 32, 32) / 32 -> (2, -1), rms sqrt 2.5.
    const token = hmlpReference(shape, layers, [32, 64, 0, 0, 32, 32]);
    const frame0 = gelu(3 / Math.sqrt(5)) + gelu(-2 / Math.sqrt(5));
    const frame1 = gelu(2 / Math.sqrt(2.5)) + gelu(-2 / Math.sqrt(2.5));
    expect(token.length).toBe(1);
    expect(token[0]).toBeCloseTo(frame0 - frame1, 14);
  });

  it("agrees with onnxruntime: a fold is a convolution that does not overlap", async () => {
    const shape: HmlpShape = { ...SHIPPED, width: 40, height: 40 };
    const layers = randomLayers(shape, 5);
    const video = randomVideo(shape, 6);
    const graph = new OnnxGraph();
    const x = graph.input("x", "float32", [1, 2, 40, 40, 3]);
    let value = graph.node("Transpose", [graph.node("Div", [x, graph.scalar(32)])], {
      attributes: { perm: { ints: [0, 4, 1, 2, 3] } },
    });
    let channels = 3;
    for (const [i, { t, h, out }] of shape.folds.entries()) {
      const { weight, norm } = layers[i]!;
      // (out, frame, row, column, channel) to the (out, channel, frame, row, column) of a convolution.
      const w = graph.node(
        "Transpose",
        [graph.constant(`w${i}`, "float32", [out, t, h, h, channels], weight)],
        {
          attributes: { perm: { ints: [0, 4, 1, 2, 3] } },
        },
      );
      value = graph.node("Conv", [value, w], { attributes: { strides: { ints: [t, h, h] } } });
      channels = out;
      if (!norm) continue;
      const squares = graph.node("Mul", [value, value]);
      const mean = graph.node("ReduceMean", [squares], { attributes: { axes: { ints: [1] } } });
      const rms = graph.node("Sqrt", [graph.node("Add", [mean, graph.scalar(shape.normEps)])]);
      const scale = graph.constant(`n${i}`, "float32", [1, out, 1, 1, 1], norm);
      const normed = graph.node("Mul", [graph.node("Div", [value, rms]), scale]);
      const bent = graph.node("Erf", [graph.node("Div", [normed, graph.scalar(Math.SQRT2)])]);
      const gate = graph.node("Mul", [graph.node("Add", [bent, graph.scalar(1)]), graph.scalar(0.5)]);
      value = graph.node("Mul", [normed, gate]);
    }
    graph.output(graph.node("Flatten", [value], { name: "y" }), "float32", [1, 192]);
    const actual = await runOnnx(graph, { x: { data: Float32Array.from(video), dims: [1, 2, 40, 40, 3] } });
    expectClose(actual, hmlpReference(shape, layers, video), { absolute: 2e-5 });
  });
});

describeOnGpu("hmlp", (gpu) => {
  async function check(shape: HmlpShape, inputSplits: number, seed: number): Promise<void> {
    const layers = randomLayers(shape, seed);
    const video = randomVideo(shape, seed + 7);
    const expected = hmlpReference(shape, layers, video);
    const out = output(gpu, "tokens", expected.length);
    const bytes = new Uint8Array(video.buffer);
    const kernels = await createHmlp(gpu, {
      ...shape,
      label: "hmlp",
      layers,
      video: input(gpu, "video", bytes),
      out: out.view,
      inputSplits,
    });
    expect(kernels.length).toBe(shape.folds.length);
    await run(gpu, kernels, 1);
    // Inputs and weights of size 1 give sums of n products of size sqrt(n) / sqrt(n): rounding is some 1e-7 of them per
    // layer, the approximation of erf 1.5e-7, and a layer doubles what the one before left at most.
    expectClose(await out.f32(), expected, { absolute: 2e-5, relative: 2e-5 });
  }

  it.each(SHAPES)("agrees with the reference: %s", (_, shape) => check(shape, 1, 1));
  it.each([2, 3, 4, 64])("agrees with the reference over %i input splits", (splits) =>
    check(SHIPPED, splits, 2),
  );
  it.each(SHAPES)("agrees with the reference, split: %s", (_, shape) => check(shape, 3, 3));

  it("refuses weights and folds that do not fit, by name", async () => {
    const spec = {
      ...SHIPPED,
      label: "video",
      layers: randomLayers(SHIPPED, 4),
      video: createBuffer(gpu, { label: "video", sizeBytes: 2 * 80 * 80 * 3 }),
      out: createBuffer(gpu, { label: "out", sizeBytes: 4 * 192 * 4 }),
    };
    const short = [...spec.layers];
    short[1] = { weight: new Float32Array(8), norm: null };
    await expect(createHmlp(gpu, { ...spec, layers: short })).rejects.toThrow(
      "video fold 1: weight holds 8 elements, expected 32768",
    );
    const folds = SHIPPED.folds.slice(0, 3);
    await expect(createHmlp(gpu, { ...spec, folds, layers: spec.layers.slice(0, 3) })).rejects.toThrow(
      "video: the folds leave 2 frames of side 1, expected 1 of 1",
    );
  });
});
