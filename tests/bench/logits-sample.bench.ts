import { logitsReference } from "../../kernels/logits-sample/logits-sample.reference.ts";
import { createLogitsSample } from "../../kernels/logits-sample/logits-sample.ts";
import { MATRIX_BITS, uploadMatrix } from "../../kernels/matrix.ts";
import { packTurn } from "../../kernels/step.ts";
import { createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

const VOCAB_SIZE = 1024;
const DIM = 192;
for (const [format, temperature] of [
  ["f32", 0],
  ["f16", 0],
  ["q8", 0],
  ["f32", 0.8],
] as const) {
  const name = `logits-sample ${format} ${temperature === 0 ? "greedy" : "top-k"}`;
  benchOnGpu(name, async (gpu) => {
    const embedding = gaussian(1, VOCAB_SIZE * DIM);
    const bias = gaussian(2, VOCAB_SIZE);
    const x = gaussian(3, DIM);
    const logits = createBuffer(gpu, { label: "logits", sizeBytes: VOCAB_SIZE * 4 });
    const turn = {
      saidPosition: 105,
      saidCount: 0,
      saidStart: 0,
      saidCapacity: 256,
      // The bench runs past the cap: every run chooses, and what it writes past the block goes nowhere.
      maxTokens: 16,
      nextToken: 1,
      topK: 40,
      seed: 1,
      temperature,
    };
    const kernels = await createLogitsSample(gpu, {
      label: "head",
      x: input(gpu, "x", x),
      embedding: uploadMatrix(
        gpu,
        { label: "embed", rows: VOCAB_SIZE, cols: DIM, format },
        { kind: "f32", data: embedding },
      ),
      bias: input(gpu, "bias", bias),
      step: step(gpu, 1),
      turn: uploadBuffer(gpu, { label: "turn", role: "uniform" }, packTurn(turn)),
      block: createBuffer(gpu, { label: "block", sizeBytes: 68 }),
      decodeRow: createBuffer(gpu, { label: "row", sizeBytes: 16 }),
      decodeStep: createBuffer(gpu, { label: "decode step", sizeBytes: 16, role: "step" }),
      opensBlock: true,
      logits,
    });
    await run(gpu, kernels, 1);
    // q8 is off by half of 1/127 of a block's largest weight, some 3.
    const limits = { absolute: format === "f32" ? 1e-4 : format === "f16" ? 0.05 : 1 };
    const expected = logitsReference(embedding, bias, x);
    expectClose(new Float32Array(await readBack(gpu, logits)), expected, limits);
    await report(gpu, name, await measureDispatches(gpu, kernels, 1), {
      bytes: (VOCAB_SIZE * DIM * MATRIX_BITS[format]) / 8 + 8 * VOCAB_SIZE,
      flops: 2 * VOCAB_SIZE * DIM,
    });
  });
}
