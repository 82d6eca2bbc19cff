import { quantize, toFloats } from "../../kernels/matrix.ts";
import type { WeightFormat } from "./backend.ts";
import { type Checkpoint, type F32Tensor, mayBeQ8, type Q8Tensor, type Tensor } from "./checkpoint.ts";

/**
 * Rounds a matrix to q8: per block of 32 along a row, scale = largest magnitude / 127, value = nearest integer, a tie
 * away from zero. A block of zeros has scale 0.
 *
 * @param matrix (rows, cols), cols a multiple of 32.
 */
export function quantizeQ8(matrix: F32Tensor): Q8Tensor {
  const [rows, cols] = [matrix.shape[0]!, matrix.shape[1]!];
  return { ...quantize(matrix.data), shape: [rows, cols] };
}

/** The values that a tensor stands for. A tensor that is f32 already is returned itself. */
export function toF32(tensor: Tensor): F32Tensor {
  if (tensor.kind === "f32") return tensor;
  return { kind: "f32", shape: tensor.shape, data: toFloats(tensor) };
}

/**
 * A checkpoint with its large matrices in another format: as if it had been stored so, embedding included. "f16" is
 * left to the backend, which holds or computes it.
 */
export function withWeights(checkpoint: Checkpoint, weights: WeightFormat): Checkpoint {
  if (weights === "as-stored") return checkpoint;
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    if (weights !== "q8") tensors.set(name, toF32(tensor));
    else if (tensor.kind === "f32" && mayBeQ8(name, tensor.shape)) tensors.set(name, quantizeQ8(tensor));
    else tensors.set(name, tensor);
  }
  return { ...checkpoint, tensors };
}
