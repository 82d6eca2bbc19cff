import { expectLength } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import { MATRIX_FORMAT, type Matrix, singlePart } from "../matrix.ts";

/** The small tables, each (rows, cols) f32. */
export interface EmbeddingTables {
  /** (2, cols): told, said. */
  role: Float32Array;
  /** (61, cols). */
  clock: Float32Array;
  /** (nTiles, cols). */
  tile: Float32Array;
  /** (nChannels · nLevels, cols). */
  audio: Float32Array;
  /** (cols). */
  audioNorm: Float32Array;
}

/** `EmbeddingTables` on the device, in one buffer: a shader has few storage bindings. */
export interface DeviceTables {
  tables: BufferView;
  /** First row of each part. */
  first: { clock: number; tile: number; audio: number; audioNorm: number };
}

export interface EmbeddingSumSpec {
  label: string;
  eps: number;
  nChannels: number;
  nLevels: number;
  /** (vocabSize, cols). */
  text: Matrix;
  tables: DeviceTables;
  /** See kernels/step.ts. */
  rows: BufferView;
  /** (frames, nChannels) u32. */
  levels: BufferView;
  /** (nTiles, cols) f32. */
  tiles: BufferView;
  /** (rows, cols) f32. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  /** A power of two. */
  workgroupSize?: number;
}

const BINDINGS = ["read", "read", "read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;

const ROLE_ROWS = 2;
const CLOCK_ROWS = 61;

/** @throws RuntimeError "shape-mismatch" if a table has another length. */
export function uploadTables(gpu: Gpu, cols: number, tables: EmbeddingTables): DeviceTables {
  expectLength("embedding-sum", "role", tables.role.length, ROLE_ROWS * cols);
  expectLength("embedding-sum", "clock", tables.clock.length, CLOCK_ROWS * cols);
  expectLength("embedding-sum", "audioNorm", tables.audioNorm.length, cols);
  const parts = [tables.role, tables.clock, tables.tile, tables.audio, tables.audioNorm];
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  const starts: number[] = [];
  let at = 0;
  for (const part of parts) {
    starts.push(at / cols);
    all.set(part, at);
    at += part.length;
  }
  const [, clock, tile, audio, audioNorm] = starts as [number, number, number, number, number];
  return {
    tables: uploadBuffer(gpu, { label: "embedding tables" }, all),
    first: { clock, tile, audio, audioNorm },
  };
}

/**
 * Prepares the embeddings of a step's rows.
 *
 * @throws RuntimeError "gpu-out-of-memory" if `text` has more than one part, "invalid-argument" if it is in q4,
 *         "gpu-compile" if the shader is refused.
 */
export async function createEmbeddingSum(gpu: Gpu, spec: EmbeddingSumSpec): Promise<Dispatch> {
  const { label, text, tables } = spec;
  const workgroupSize = spec.workgroupSize ?? 64;
  const { weights, scales } = singlePart(label, text, ["f32", "f16", "q8"]);
  const pipeline = await createPipeline(gpu, {
    label: `embedding-sum ${text.format}`,
    shader: new URL("./embedding-sum.wgsl", import.meta.url),
    bindings: BINDINGS,
    constants: { workgroup_size: workgroupSize, text_format: MATRIX_FORMAT[text.format] },
  });
  const { clock, tile, audio, audioNorm } = tables.first;
  const params = Uint32Array.of(text.cols, spec.nChannels, spec.nLevels, 0, clock, tile, audio, audioNorm);
  new Float32Array(params.buffer)[3] = spec.eps;
  const bindGroup = bind(gpu, pipeline, [
    spec.rows,
    weights,
    scales,
    tables.tables,
    spec.levels,
    spec.tiles,
    spec.out,
    uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params),
    spec.step,
  ]);
  return dispatch(label, pipeline, bindGroup, (rows) => [rows, 1, 1]);
}
