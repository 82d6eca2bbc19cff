import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Q8_BLOCK } from "../../kernels/matrix.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { CLOCK_ROWS, type NativeConfig, parseNativeConfig, tileCount } from "./config.ts";
import { floatValues, readSafetensors, type StoredTensor } from "./safetensors.ts";

export const CONFIG_FILE = "config.json";
export const WEIGHTS_FILE = "model.safetensors";
export const TOKENIZER_FILE = "tokenizer.json";

/** How many faults one message lists. */
const MAX_LISTED = 12;

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

/** The matrices that may be held in q8: those that a token is multiplied with, the embedding as the head among them. */
export function mayBeQ8(name: string, shape: readonly number[]): boolean {
  const large = /^(embed\.text|layers\.\d+\.(qkv|attention_out|gate_up|down))$/;
  return large.test(name) && shape.length === 2 && shape[1]! % Q8_BLOCK === 0;
}

/**
 * Reads a checkpoint folder. In `model.safetensors` a tensor NAME is F32 or F16, or, where `mayBeQ8`, a pair
 * `NAME.q8` (I8) and `NAME.scale` (F32 or F16).
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" naming every tensor that is missing, of another shape
 *   or type, not finite, or unknown.
 */
export async function loadCheckpoint(directory: string): Promise<Checkpoint> {
  const configPath = join(directory, CONFIG_FILE);
  const config = parseNativeConfig(await readText(configPath), configPath);
  const source = join(directory, WEIGHTS_FILE);
  const stored = await readSafetensors(source);
  const tensors = new Map<string, Tensor>();
  const problems: string[] = [];
  for (const [name, shape] of tensorShapes(config)) {
    try {
      tensors.set(name, takeTensor(stored, name, shape));
    } catch (error) {
      if (!(error instanceof TensorFault)) throw error;
      problems.push(error.message);
    }
  }
  for (const name of stored.keys()) problems.push(`${name} is not part of the model`);
  if (problems.length > 0) {
    const listed = problems.slice(0, MAX_LISTED).join("; ");
    const more = problems.length > MAX_LISTED ? `; and ${problems.length - MAX_LISTED} more` : "";
    throw new RuntimeError("invalid-checkpoint", {
      part: "checkpoint",
      problem: `${source}: ${listed}${more}`,
      remedy: "Use the config.json that the weights were trained with",
    });
  }
  return { directory, config, tensors };
}

/**
 * Reads a text file of a checkpoint.
 *
 * @throws RuntimeError "missing-file".
 */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new RuntimeError("missing-file", {
      part: "checkpoint",
      problem: `${path} cannot be read`,
      remedy: `Name a folder with ${CONFIG_FILE}, ${WEIGHTS_FILE} and ${TOKENIZER_FILE}`,
      cause,
    });
  }
}

/** What is wrong with one tensor; gathered, so that one message names them all. */
class TensorFault extends Error {}

/** Moves one tensor out of `stored`. */
function takeTensor(stored: Map<string, StoredTensor>, name: string, shape: readonly number[]): Tensor {
  const plain = stored.get(name);
  const values = stored.get(`${name}.q8`);
  const scales = stored.get(`${name}.scale`);
  for (const key of [name, `${name}.q8`, `${name}.scale`]) stored.delete(key);
  if (plain && (values || scales)) throw new TensorFault(`${name} stands there twice, plain and as q8`);
  if (plain) return { kind: "f32", shape, data: checkedFloats(plain, name, shape) };
  if (!values && !scales) throw new TensorFault(`${name} is missing`);
  if (!mayBeQ8(name, shape)) throw new TensorFault(`${name} may not be q8`);
  if (!values) throw new TensorFault(`${name}.q8 is missing`);
  if (!scales) throw new TensorFault(`${name}.scale is missing`);
  const [rows, cols] = [shape[0]!, shape[1]!];
  expectShape(values, `${name}.q8`, shape);
  if (values.dtype !== "I8") throw new TensorFault(`${name}.q8 is of type ${values.dtype}, expected I8`);
  const integers = new Int8Array(values.bytes.slice().buffer);
  if (integers.includes(-128)) throw new TensorFault(`${name}.q8 holds -128, expected [-127, 127]`);
  return {
    kind: "q8",
    shape: [rows, cols],
    values: integers,
    scales: checkedFloats(scales, `${name}.scale`, [rows, cols / Q8_BLOCK]),
  };
}

function checkedFloats(tensor: StoredTensor, name: string, shape: readonly number[]): Float32Array {
  expectShape(tensor, name, shape);
  if (tensor.dtype === "I8") throw new TensorFault(`${name} is of type I8, expected F32 or F16`);
  const values = floatValues(tensor.dtype, tensor.bytes);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new TensorFault(`${name} holds ${values[bad]} at element ${bad}`);
  return values;
}

function expectShape(tensor: StoredTensor, name: string, shape: readonly number[]): void {
  const same = tensor.shape.length === shape.length && shape.every((dim, i) => tensor.shape[i] === dim);
  if (!same) throw new TensorFault(`${name} has shape [${tensor.shape}], expected [${shape}]`);
}
