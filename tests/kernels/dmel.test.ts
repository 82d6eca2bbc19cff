import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DMEL, dmelLevels, dmelValues, levelOf, melFilters } from "../../kernels/dmel/dmel.reference.ts";
import { createDmel } from "../../kernels/dmel/dmel.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

/** Clips with their levels as PyTorch computes them, beside the checkout; not part of it. */
const fixtures = new URL("../../../shared/fixtures/dmel/dmel.safetensors", import.meta.url);
const CLIPS = ["chirp_noise", "silence", "impulses", "quiet_noise", "clipped", "odd_length"];

/** Distance of a value to the nearest boundary between two levels, in levels. */
function edgeOf(value: number): number {
  const level = (value + 7) / 0.6;
  return Math.abs(level - Math.floor(level) - 0.5);
}

/** Pads a clip to whole hops at the end and with the history at the start. */
function withHistory(wav: Float32Array): Float32Array {
  const frames = Math.ceil(wav.length / DMEL.hop);
  const pcm = new Float32Array(DMEL.history + frames * DMEL.hop);
  pcm.set(wav, DMEL.history);
  return pcm;
}

/** Tensors of a safetensors file: an 8-byte length, a JSON header, the data. */
function readTensors(file: URL): (name: string) => Float32Array {
  const bytes = readFileSync(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  return (name) => {
    const { dtype, data_offsets } = header[name]!;
    const [start, end] = data_offsets.map((offset) => offset + 8 + headerBytes) as [number, number];
    const data = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + end);
    return dtype === "I32" ? Float32Array.from(new Int32Array(data)) : new Float32Array(data);
  };
}

/** The definition as one sum per bin. */
function plainMagnitude(pcm: ArrayLike<number>, start: number, k: number): number {
  let re = 0;
  let im = 0;
  for (let n = 0; n < 1600; n++) {
    const x = pcm[start + n]! * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / 1600));
    re += x * Math.cos((2 * Math.PI * k * n) / 1600);
    im -= x * Math.sin((2 * Math.PI * k * n) / 1600);
  }
  return Math.sqrt(Math.max(re * re + im * im, 1e-10));
}

describe("dmel reference", () => {
  it("is the plain transform through the filters", () => {
    const pcm = gaussian(1, 2400, 0.1);
    const values = dmelValues(pcm);
    const filters = melFilters();
    for (const frame of [0, 1]) {
      const magnitudes = Array.from({ length: 801 }, (_, k) => plainMagnitude(pcm, frame * 800, k));
      for (const [c, { firstBin, weights }] of filters.entries()) {
        const sum = weights.reduce((total, weight, i) => total + weight * magnitudes[firstBin + i]!, 0);
        expect(values[frame * 80 + c]).toBeCloseTo(Math.log10(sum), 10);
      }
    }
  });

  it("gives a whole-bin cosine its known magnitude", () => {
    // cos at 1000 Hz is bin 100: |X| = 1600 / 4 there, 1600 / 8 at both neighbours, none elsewhere.
    const pcm = Float64Array.from({ length: 1600 }, (_, n) => Math.cos((2 * Math.PI * 100 * n) / 1600));
    const expected = melFilters().map(({ firstBin, weights }) => {
      const at = (bin: number) => weights[bin - firstBin] ?? 0;
      return 400 * at(100) + 200 * (at(99) + at(101));
    });
    const values = dmelValues(pcm);
    for (const [c, sum] of expected.entries()) if (sum > 0) expect(values[c]).toBeCloseTo(Math.log10(sum), 5);
    expect(expected.filter((sum) => sum > 0).length).toBeGreaterThanOrEqual(2);
  });

  it("places values on the nearest level, a tie on the lower", () => {
    expect([-7, -6.71, -6.69, -1, 1.69, 1.71, 2].map(levelOf)).toEqual([0, 0, 1, 10, 14, 15, 15]);
    // Silence: every bin is at the floor of 1e-5, and the triangles' weights sum to 0.1 per bin of 10 Hz.
    expect([...new Set(dmelLevels(new Float32Array(1600)))]).toEqual([2]);
  });

  it("does not depend on where the stream is cut", () => {
    const pcm = withHistory(gaussian(2, 16 * 800, 0.2));
    const whole = dmelLevels(pcm);
    for (let frame = 0; frame < 16; frame += 4) {
      const part = dmelLevels(pcm.subarray(frame * 800, frame * 800 + 4000));
      expect(part).toEqual(whole.subarray(frame * 80, (frame + 4) * 80));
    }
  });

  it.skipIf(!existsSync(fixtures))("agrees with PyTorch on all clips", () => {
    const tensor = readTensors(fixtures);
    for (const clip of CLIPS) {
      expect([...dmelLevels(withHistory(tensor(`${clip}.wav`)))], clip).toEqual([...tensor(`${clip}.bins`)]);
    }
  });

  it("agrees with onnxruntime's STFT", async () => {
    const pcm = Float64Array.from(gaussian(3, 800 + 3 * 800, 0.1));
    const hann = Float64Array.from(
      { length: 1600 },
      (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / 1600),
    );
    const graph = new OnnxGraph();
    const x = graph.input("x", "float64", [1, pcm.length, 1]);
    const step = graph.constant("step", "int64", [], BigInt64Array.of(800n));
    const window = graph.constant("window", "float64", [1600], hann);
    const length = graph.constant("length", "int64", [], BigInt64Array.of(1600n));
    const spectrum = graph.node("STFT", [x, step, window, length], { name: "y" });
    graph.output(spectrum, "float64", [1, 3, 801, 2]);
    const bins = await runOnnx(graph, { x: { data: pcm, dims: [1, pcm.length, 1] } });
    const expected: number[] = [];
    for (let frame = 0; frame < 3; frame++) {
      for (const { firstBin, weights } of melFilters()) {
        let sum = 0;
        for (const [i, weight] of weights.entries()) {
          const at = 2 * (frame * 801 + firstBin + i);
          sum += weight * Math.hypot(bins[at]!, bins[at + 1]!);
        }
        expected.push(Math.log10(sum));
      }
    }
    // Theirs goes through a power of two (Bluestein), which costs some digits of double precision.
    expectClose(dmelValues(pcm), expected, { absolute: 1e-9 });
  });
});

describeOnGpu("dmel", (gpu) => {
  /** Runs the kernel and fails unless it agrees: exactly away from the boundaries, within a level near them. */
  async function check(
    pcm: Float32Array,
    expected: ArrayLike<number>,
    edges: ArrayLike<number>,
    size?: number,
  ) {
    const frames = expected.length / 80;
    const levels = output(gpu, "levels", expected.length);
    const kernel = await createDmel(gpu, {
      label: "dmel",
      frames,
      pcm: input(gpu, "pcm", pcm),
      levels: levels.view,
      ...(size ? { workgroupSize: size } : {}),
    });
    await run(gpu, [kernel], 1);
    const actual = await levels.u32();
    let compared = 0;
    for (let i = 0; i < expected.length; i++) {
      const error = Math.abs(actual[i]! - expected[i]!);
      // 1e-3 of a level is 0.14 % of a magnitude; single precision gives 1e-6 of the loudest bin.
      const limit = edges[i]! > 1e-3 ? 0 : 1;
      if (!(error <= limit))
        expect.fail(`frame ${Math.floor(i / 80)} channel ${i % 80}: ${actual[i]}, expected ${expected[i]}`);
      if (limit === 0) compared++;
    }
    expect(compared).toBeGreaterThan(0.99 * expected.length);
  }

  it.each([1, 63, 64, 65, 128, 256])("agrees with the reference at workgroup size %i", async (size) => {
    const pcm = gaussian(size, 800 + 4 * 800, 0.3);
    const values = dmelValues(pcm);
    await check(pcm, Array.from(values, levelOf), Array.from(values, edgeOf), size);
  });

  it.each([1, 3, 17])("agrees with the reference over %i frames", async (frames) => {
    const pcm = gaussian(frames, 800 + frames * 800, 0.01);
    const values = dmelValues(pcm);
    await check(pcm, Array.from(values, levelOf), Array.from(values, edgeOf));
  });

  it.skipIf(!existsSync(fixtures)).each(CLIPS)("agrees with PyTorch on %s", async (clip) => {
    const tensor = readTensors(fixtures);
    await check(withHistory(tensor(`${clip}.wav`)), tensor(`${clip}.bins`), tensor(`${clip}.edge`));
  });
});
