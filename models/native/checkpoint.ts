import { CLOCK_ROWS, type NativeConfig, tileCount } from "./config.ts";

/** Elements that share one scale, along a row. */
export const Q8_BLOCK = 32;

/** A tensor in full precision, row-major. */
export interface F32Tensor {
  kind: "f32";
  shape: readonly number[];
  data: Float32Array;
}

/**
 * A matrix in blocks of 32: element (r, c) is `values[r·cols + c] · scales[r·cols/32 + floor(c/32)]`.
 * `values` is (rows, cols) i8 in [-127, 127], `scales` (rows, cols / 32) f32.
 */
export interface Q8Tensor {
  kind: "q8";
  shape: readonly [rows: number, cols: number];
  values: Int8Array;
  scales: Float32Array;
}

export type Tensor = F32Tensor | Q8Tensor;

/** A loaded model: blueprint and weights. Its state lives in a backend. */
export interface Checkpoint {
  /** The folder it was read from. */
  directory: string;
  config: NativeConfig;
  /** Every tensor of README "Checkpoint" by name, shapes checked. Float tensors are f32, whatever they were stored as. */
  tensors: ReadonlyMap<string, Tensor>;
}

/** Every tensor of a checkpoint with its shape: README "Checkpoint". Matrices are (out, in). */
export function tensorShapes(config: NativeConfig): Map<string, readonly number[]> {
  const { dim, nLayers, nHeads, nKvHeads, headDim, ffDim, vocabSize, video, audio } = config;
  const shapes = new Map<string, readonly number[]>([
    ["embed.text", [vocabSize, dim]],
    ["embed.role", [2, dim]],
    ["embed.clock", [CLOCK_ROWS, dim]],
    ["embed.tile", [tileCount(config), dim]],
    ["audio.table", [audio.nMels * audio.nLevels, dim]],
    ["audio.norm", [dim]],
  ]);
  let channels = 3;
  for (const [i, fold] of video.folds.entries()) {
    shapes.set(`video.fold.${i}.weight`, [fold.out, fold.t * fold.h * fold.h * channels]);
    if (i < video.folds.length - 1) shapes.set(`video.fold.${i}.norm`, [fold.out]);
    channels = fold.out;
  }
  for (let i = 0; i < nLayers; i++) {
    shapes.set(`layers.${i}.attention_norm`, [dim]);
    shapes.set(`layers.${i}.mlp_norm`, [dim]);
    shapes.set(`layers.${i}.qkv`, [(nHeads + 2 * nKvHeads) * headDim, dim]);
    shapes.set(`layers.${i}.attention_out`, [dim, nHeads * headDim]);
    shapes.set(`layers.${i}.gate_up`, [2 * ffDim, dim]);
    shapes.set(`layers.${i}.down`, [dim, ffDim]);
  }
  shapes.set("out_norm", [dim]);
  shapes.set("head.bias", [vocabSize]);
  return shapes;
}
