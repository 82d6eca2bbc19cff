import { expectLength } from "../../src/core/errors.ts";
import { type BufferView, createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import { MATRIX_FORMAT, type Matrix, singlePart } from "../matrix.ts";

/** How the work is cut up. Chosen by the wrapper; a test or a tuner may name another cut. */
export interface LogitsTiling {
  workgroupSize: number;
  /** Threads that share a row of the embedding; divides workgroupSize. */
  lanesPerToken: number;
  /** Threads of the sampler, a power of 4. */
  samplerSize: number;
}

export interface LogitsSampleSpec {
  label: string;
  /** (rows, embedding.cols) f32, normalised; the last row is read. */
  x: BufferView;
  /** (vocabSize, dim): the tied text embedding. */
  embedding: Matrix;
  /** (vocabSize) f32. */
  bias: BufferView;
  /** Of the step that computed `x`. See kernels/step.ts for this and what follows. */
  step: BufferView;
  turn: BufferView;
  /** Written: (1 + max_tokens) u32. */
  block: BufferView;
  /** Written: the row and the step of the decode step to come. */
  decodeRow: BufferView;
  decodeStep: BufferView;
  /** True after the prefill, false after a decode step. */
  opensBlock: boolean;
  /** (vocabSize) f32, written: where to keep the logits. Default: a buffer of its own. */
  logits?: BufferView;
  tiling?: LogitsTiling;
}

const LOGITS_BINDINGS = ["read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;
const SAMPLE_BINDINGS = ["read", "readWrite", "readWrite", "readWrite", "uniform", "uniform"] as const;

/** On a software adapter threads read alone, and every barrier costs as much as some hundred products. */
export function defaultLogitsTiling(gpu: Gpu): LogitsTiling {
  return gpu.adapter.isSoftware
    ? { workgroupSize: 32, lanesPerToken: 1, samplerSize: 64 }
    : { workgroupSize: 64, lanesPerToken: 8, samplerSize: 256 };
}

/**
 * Prepares the choice of one token: logits of the last row, then the sampler. Two dispatches.
 *
 * @throws RuntimeError "shape-mismatch" if the bias has another length than the vocabulary or the block is no larger
 *         than its count, "gpu-out-of-memory" if the embedding has more than one part, "invalid-argument" if it is in q4,
 *         "gpu-compile" if a shader is refused.
 */
export async function createLogitsSample(gpu: Gpu, spec: LogitsSampleSpec): Promise<Dispatch[]> {
  const { label, embedding } = spec;
  const { workgroupSize, lanesPerToken, samplerSize } = spec.tiling ?? defaultLogitsTiling(gpu);
  const vocabSize = embedding.rows;
  const { weights, scales } = singlePart(label, embedding, ["f32", "f16", "q8"]);
  // Buffers are rounded up to 16 bytes.
  expectLength(label, "bias", spec.bias.sizeBytes / 4, Math.ceil(vocabSize / 4) * 4);
  const logits = spec.logits ?? createBuffer(gpu, { label: `${label} logits`, sizeBytes: vocabSize * 4 });
  const [logitsPipeline, samplePipeline] = await Promise.all([
    createPipeline(gpu, {
      label: `logits ${embedding.format}`,
      shader: new URL("./logits.wgsl", import.meta.url),
      bindings: LOGITS_BINDINGS,
      constants: {
        workgroup_size: workgroupSize,
        lanes_per_token: lanesPerToken,
        weight_format: MATRIX_FORMAT[embedding.format],
      },
    }),
    createPipeline(gpu, {
      label: `sample ${spec.opensBlock ? "first" : "next"}`,
      shader: new URL("./sample.wgsl", import.meta.url),
      bindings: SAMPLE_BINDINGS,
      constants: {
        workgroup_size: samplerSize,
        opens_block: spec.opensBlock ? 1 : 0,
      },
    }),
  ]);
  const groups = Math.ceil(vocabSize / (workgroupSize / lanesPerToken));
  const params = uploadBuffer(
    gpu,
    { label: `${label} params`, role: "uniform" },
    Uint32Array.of(vocabSize, embedding.cols, 0, 0),
  );
  const logitsGroup = bind(gpu, logitsPipeline, [
    spec.x,
    weights,
    scales,
    spec.bias,
    logits,
    params,
    spec.step,
  ]);
  const sampleGroup = bind(gpu, samplePipeline, [
    logits,
    spec.block,
    spec.decodeRow,
    spec.decodeStep,
    spec.turn,
    params,
  ]);
  return [
    dispatch(`${label} logits`, logitsPipeline, logitsGroup, () => [groups, 1, 1]),
    dispatch(`${label} sample`, samplePipeline, sampleGroup, () => [1, 1, 1]),
  ];
}
