import { type DeviceTables, uploadTables } from "../../../kernels/embedding-sum/embedding-sum.ts";
import { type Matrix, type MatrixFormat, uploadMatrix } from "../../../kernels/matrix.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { WeightFormat } from "../backend.ts";
import type { Checkpoint, Tensor } from "../checkpoint.ts";
import { toF32, withWeights } from "../quantize.ts";

export interface LayerWeights {
  attentionNorm: BufferView;
  qkv: Matrix;
  attentionOut: Matrix;
  mlpNorm: BufferView;
  gateUp: Matrix;
  down: Matrix;
}

/** A checkpoint on the device: never written again. */
export interface NetworkWeights {
  /** (vocabSize, dim), for embeddings and logits. */
  text: Matrix;
  tables: DeviceTables;
  layers: readonly LayerWeights[];
  outNorm: BufferView;
  headBias: BufferView;
  /** The video stem, still on the host: its kernel has a layout of its own. */
  folds: readonly { weight: Float32Array; norm: Float32Array | null }[];
}

/**
 * Brings a checkpoint to the device.
 *
 * @throws RuntimeError "gpu-out-of-memory" naming the tensor that is too large, "invalid-checkpoint" for a missing one.
 */
export function uploadWeights(gpu: Gpu, checkpoint: Checkpoint, weights: WeightFormat): NetworkWeights {
  const { config, tensors } = withWeights(checkpoint, weights === "f16" ? "as-stored" : weights);
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name);
    if (found) return found;
    throw new RuntimeError("invalid-checkpoint", { part: "checkpoint", problem: `has no tensor ${name}` });
  };
  const floats = (name: string): Float32Array => toF32(tensor(name)).data;
  const vector = (name: string): BufferView => uploadBuffer(gpu, { label: name }, floats(name));
  const matrix = (name: string): Matrix => {
    const source = tensor(name);
    const format: MatrixFormat = weights === "f16" ? "f16" : source.kind;
    const [rows, cols] = source.shape as readonly [number, number];
    return uploadMatrix(gpu, { label: name, rows, cols, format }, source);
  };
  const layers = Array.from({ length: config.nLayers }, (_, i) => ({
    attentionNorm: vector(`layers.${i}.attention_norm`),
    qkv: matrix(`layers.${i}.qkv`),
    attentionOut: matrix(`layers.${i}.attention_out`),
    mlpNorm: vector(`layers.${i}.mlp_norm`),
    gateUp: matrix(`layers.${i}.gate_up`),
    down: matrix(`layers.${i}.down`),
  }));
  const lastFold = config.video.folds.length - 1;
  return {
    text: matrix("embed.text"),
    tables: uploadTables(gpu, config.dim, {
      role: floats("embed.role"),
      clock: floats("embed.clock"),
      tile: floats("embed.tile"),
      audio: floats("audio.table"),
      audioNorm: floats("audio.norm"),
    }),
    layers,
    outNorm: vector("out_norm"),
    headBias: vector("head.bias"),
    folds: config.video.folds.map((_, i) => ({
      weight: floats(`video.fold.${i}.weight`),
      norm: i === lastFold ? null : floats(`video.fold.${i}.norm`),
    })),
  };
}
