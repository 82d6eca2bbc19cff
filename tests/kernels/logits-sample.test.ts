import { describe, expect, it } from "vitest";
import {
  chooseToken,
  logitsReference,
  pcg3d,
  type SamplerState,
  sampleReference,
} from "../../kernels/logits-sample/logits-sample.reference.ts";
import { createLogitsSample, type LogitsTiling } from "../../kernels/logits-sample/logits-sample.ts";
import {
  fromHalf,
  type MatrixFormat,
  quantize,
  toFloats,
  toHalf,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import { packTurn, type Turn } from "../../kernels/step.ts";
import { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";
import { createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import { describeOnGpu, expectClose, gaussian, input, output, run, step } from "./harness.ts";
import { runOnnx } from "./onnx.ts";

const TURN: Turn = {
  saidPosition: 64 * 500 + 41,
  saidCount: 30,
  saidStart: 100,
  saidCapacity: 32,
  maxTokens: 16,
  nextToken: 1,
  topK: 0,
  seed: 7,
  temperature: 0,
};

const NO_ROW = [9, 9, 9, 9];
const OPENING: SamplerState = { block: [], decodeRow: NO_ROW, decodeRows: 0 };

describe("logits-sample reference", () => {
  it("multiplies and chooses as worked by hand", () => {
    expect([...logitsReference([1, 2, 3, 4], [10, 20], [5, -1])]).toEqual([13, 31]);
    expect(chooseToken([1, 3, 3, 2], TURN, 0)).toBe(1);
    expect(chooseToken([Number.NaN, -5, Number.NaN], TURN, 0)).toBe(1);
    expect(chooseToken([Number.NaN], TURN, 0)).toBe(-1);
  });

  it("hashes as pcg3d does", () => {
    // Worked in arbitrary precision, word by word.
    const mask = 2n ** 32n - 1n;
    const expected = (key: [bigint, bigint, bigint]): number => {
      let [x, y, z] = key.map((word) => (word * 1664525n + 1013904223n) & mask) as typeof key;
      x = (x + y * z) & mask;
      y = (y + z * x) & mask;
      z = (z + x * y) & mask;
      [x, y, z] = [x ^ (x >> 16n), y ^ (y >> 16n), z ^ (z >> 16n)];
      return Number((x + y * z) & mask);
    };
    for (const key of [
      [0, 0, 0],
      [1, 2, 3],
      [4294967295, 32041, 1023],
    ] as [number, number, number][]) {
      expect(pcg3d(...key)).toBe(expected(key.map(BigInt) as [bigint, bigint, bigint]));
    }
  });

  it("draws each token as often as softmax says", () => {
    const logits = [0, 1, 2, -1];
    const draws = 20_000;
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < draws; i++) counts[chooseToken(logits, { temperature: 2, topK: 0, seed: 3 }, i)]!++;
    const weights = logits.map((logit) => Math.exp(logit / 2));
    const total = weights.reduce((a, b) => a + b);
    let chiSquare = 0;
    for (const [i, count] of counts.entries()) {
      const mean = (draws * weights[i]!) / total;
      chiSquare += (count - mean) ** 2 / mean;
    }
    // 3 degrees of freedom: above 16.3 once in a thousand seeds.
    expect(chiSquare).toBeLessThan(16.3);
  });

  it("agrees with onnxruntime's Gemm and ArgMax", async () => {
    const [vocabSize, dim] = [300, 64];
    const weights = gaussian(1, vocabSize * dim);
    const bias = gaussian(2, vocabSize);
    const x = gaussian(3, dim);
    const product = () => {
      const graph = new OnnxGraph();
      const inputs = [
        graph.constant("x", "float32", [1, dim], x),
        graph.constant("w", "float32", [vocabSize, dim], weights),
        graph.constant("b", "float32", [vocabSize], bias),
      ];
      return { graph, inputs, attributes: { transB: { int: 1 } } };
    };
    const plain = product();
    plain.graph.output(
      plain.graph.node("Gemm", plain.inputs, { attributes: plain.attributes, name: "y" }),
      "float32",
      [1, vocabSize],
    );
    const logits = logitsReference(weights, bias, x);
    expectClose(await runOnnx(plain.graph), logits, { absolute: 2e-5 });
    const best = product();
    const row = best.graph.node("Gemm", best.inputs, { attributes: best.attributes });
    const attributes = { axis: { int: 1 }, keepdims: { int: 0 } };
    best.graph.output(best.graph.node("ArgMax", [row], { attributes, name: "y" }), "int64", [1]);
    expect([...(await runOnnx(best.graph))]).toEqual([chooseToken(logits, TURN, 0)]);
  });
});

describeOnGpu("logits", (gpu) => {
  async function check(
    vocabSize: number,
    dim: number,
    format: MatrixFormat,
    rows: number,
    tiling?: LogitsTiling,
  ) {
    const embedding = gaussian(1, vocabSize * dim);
    const bias = gaussian(2, vocabSize);
    const x = gaussian(3, rows * dim);
    const logits = output(gpu, "logits", vocabSize);
    const stepView = step(gpu, rows);
    const kernels = await createLogitsSample(gpu, {
      label: "head",
      x: input(gpu, "x", x),
      embedding: uploadMatrix(
        gpu,
        { label: "embed", rows: vocabSize, cols: dim, format },
        { kind: "f32", data: embedding },
      ),
      bias: input(gpu, "bias", bias),
      step: stepView,
      turn: uploadBuffer(gpu, { label: "turn", role: "uniform" }, packTurn(TURN)),
      block: createBuffer(gpu, { label: "block", sizeBytes: 68 }),
      decodeRow: createBuffer(gpu, { label: "row", sizeBytes: 16 }),
      decodeStep: createBuffer(gpu, { label: "decode step", sizeBytes: 16, role: "step" }),
      opensBlock: true,
      logits: logits.view,
      ...(tiling ? { tiling } : {}),
    });
    await run(gpu, kernels, rows);
    const held =
      format === "q8"
        ? toFloats(quantize(embedding))
        : format === "f16"
          ? Float32Array.from(embedding, (value) => fromHalf(toHalf(value)))
          : embedding;
    const last = x.subarray((rows - 1) * dim);
    // Single precision over dim products of size 1: 6e-8 sqrt(dim) of their sum's size, with room for another order.
    expectClose(await logits.f32(), logitsReference(held, bias, last), { absolute: 4e-7 * dim });
  }

  for (const lanesPerToken of [1, 8, 64]) {
    it(`agrees with the reference with ${lanesPerToken} lanes a token`, async () => {
      const tiling = { workgroupSize: 64, lanesPerToken, samplerSize: 64 };
      for (const vocabSize of [1, 63, 64, 65, 300]) await check(vocabSize, 32, "f32", 1, tiling);
      await check(65, 192, "f16", 3, tiling);
      await check(65, 192, "q8", 48, tiling);
    });
  }

  it.each(["f32", "f16", "q8"] as const)("agrees with the reference at the shipped size in %s", (format) =>
    check(1024, 192, format, 9),
  );
});

describeOnGpu("sampler", (gpu) => {
  /**
   * Runs the sampler over given logits: the embedding is the identity's one column, so that bias alone speaks. Returns
   * the state after each of `runs` runs, the first of which opens the block if `state` says so.
   */
  async function sample(
    logits: Float32Array,
    turn: Turn,
    opensBlock: boolean,
    state: SamplerState,
    samplerSize = 64,
  ): Promise<SamplerState> {
    const vocabSize = logits.length;
    const count = state.block.length;
    const words = new Uint32Array(1 + turn.maxTokens);
    words.set([count, ...state.block]);
    const block = output(gpu, "block", words.length, words);
    const decodeRow = output(gpu, "row", 4, Uint32Array.from(state.decodeRow));
    const decodeStep = output(gpu, "decode step", 4, Uint32Array.of(state.decodeRows, 0, 0, 0));
    const kernels = await createLogitsSample(gpu, {
      label: "head",
      x: input(gpu, "x", new Float32Array(4)),
      embedding: uploadMatrix(
        gpu,
        { label: "embed", rows: vocabSize, cols: 4, format: "f32" },
        { kind: "f32", data: new Float32Array(vocabSize * 4) },
      ),
      bias: input(gpu, "bias", logits),
      step: step(gpu, 1),
      turn: uploadBuffer(gpu, { label: "turn", role: "uniform" }, packTurn(turn)),
      block: block.view,
      decodeRow: decodeRow.view,
      decodeStep: decodeStep.view,
      opensBlock,
      tiling: { workgroupSize: 32, lanesPerToken: 1, samplerSize },
    });
    await run(gpu, kernels, 1);
    const after = await block.u32();
    const [rows, ...zeros] = await decodeStep.u32();
    expect(zeros).toEqual([0, 0, 0]);
    return {
      block: [...after.subarray(1, 1 + after[0]!)],
      decodeRow: [...(await decodeRow.u32())],
      decodeRows: rows!,
    };
  }

  for (const samplerSize of [1, 4, 64, 256]) {
    it(`takes the largest logit at ${samplerSize} threads`, async () => {
      for (const vocabSize of [2, 63, 64, 65, 1024]) {
        const logits = gaussian(vocabSize, vocabSize);
        const actual = await sample(logits, TURN, true, OPENING, samplerSize);
        expect(actual).toEqual(sampleReference(logits, TURN, true, OPENING));
      }
    });
  }

  it("gives a tie to the lower token, at the ends too", async () => {
    for (const [low, high] of [
      [0, 299],
      [63, 64],
      [5, 69],
      [64, 128],
      [2, 3],
    ] as const) {
      const logits = new Float32Array(300).fill(-1);
      logits[low] = 2;
      logits[high] = 2;
      expect((await sample(logits, TURN, true, OPENING)).block).toEqual([low]);
    }
  });

  it("feeds a token back at the next position and slot, round the ring", async () => {
    const logits = new Float32Array(8);
    logits[5] = 1;
    const second = { block: [3], decodeRow: NO_ROW, decodeRows: 1 };
    expect(await sample(logits, TURN, true, OPENING)).toEqual({
      block: [5],
      decodeRow: [TURN.saidPosition, 130, 1, 5],
      decodeRows: 1,
    });
    expect(await sample(logits, TURN, false, second)).toEqual({
      block: [3, 5],
      decodeRow: [TURN.saidPosition + 1, 131, 1, 5],
      decodeRows: 1,
    });
    const third = { ...second, block: [3, 3] };
    expect((await sample(logits, TURN, false, third)).decodeRow[1]).toBe(100);
  });

  it("closes the block at next and at the cap, and leaves a closed one alone", async () => {
    const logits = new Float32Array(8);
    logits[TURN.nextToken] = 1;
    expect(await sample(logits, TURN, true, OPENING)).toEqual({ ...OPENING, block: [1] });
    logits[5] = 2;
    const full = { block: [2, 2, 2], decodeRow: NO_ROW, decodeRows: 1 };
    const turn = { ...TURN, maxTokens: 4 };
    expect(await sample(logits, turn, false, full)).toEqual({ ...full, block: [2, 2, 2, 5], decodeRows: 0 });
    const closed = { ...full, decodeRows: 0 };
    expect(await sample(logits, turn, false, closed)).toEqual(closed);
    // After the prefill the decode step still says what the block before left.
    expect((await sample(logits, turn, true, OPENING)).block).toEqual([5]);
  });

  it("closes the block if no logit is a number", async () => {
    const logits = new Float32Array(70).fill(Number.NaN);
    expect((await sample(logits, TURN, true, OPENING)).block).toEqual([TURN.nextToken]);
    logits[66] = -1e30;
    expect((await sample(logits, TURN, true, OPENING)).block).toEqual([66]);
  });

  it.each([0, 1, 2, 40, 1023, 1024, 5000])("draws as the reference with top-k %i", async (topK) => {
    const logits = gaussian(topK, 1024, 3);
    for (let seed = 0; seed < 8; seed++) {
      const turn = { ...TURN, temperature: 0.8, topK, seed: seed * 1_000_003 };
      // A draw that the noise decides by less than single precision would differ: none of these does.
      const actual = await sample(logits, turn, true, OPENING);
      expect(actual.block).toEqual(sampleReference(logits, turn, true, OPENING).block);
    }
  });

  it("draws anew at each place of the block", async () => {
    const logits = new Float32Array(500);
    const turn = { ...TURN, temperature: 1 };
    const tokens = new Set<number>();
    let state: SamplerState = OPENING;
    for (let i = 0; i < 6; i++) {
      state = await sample(logits, turn, i === 0, state);
      tokens.add(state.block.at(-1)!);
    }
    expect(tokens.size).toBeGreaterThanOrEqual(5);
    let expected = OPENING;
    for (let i = 0; i < 6; i++) expected = sampleReference(logits, turn, i === 0, expected);
    expect(state).toEqual(expected);
  });
});
