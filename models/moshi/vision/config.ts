import { invalidCheckpoint } from "../../tensors/checkpoint-faults.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";

/** A SigLIP vision tower: a plain vision transformer over the patches of a square picture. */
export interface VisionConfig {
  dim: number;
  nLayers: number;
  /** Divides dim. */
  nHeads: number;
  /** Width of the MLP's inner layer. */
  ffDim: number;
  /** Side of a patch, pixels. */
  patchSize: number;
  /** Side of the picture, pixels: a multiple of patchSize. Each patch has a position of its own. */
  imageSize: number;
  normEps: number;
}

/** Names of the image encoder in a checkpoint's file, and of its tower below it. */
export const ENCODER = "image_prefix.";
export const TOWER = `${ENCODER}enc.model.`;
/** What brings the tower's output to the language model: no encoder is without. */
export const PROJECTION = `${ENCODER}proj_xa.weight`;

/**
 * What a tower's shapes do not tell: those of SigLIP So400m, which MoshiVis was released with, in PaliGemma 2 3B at 448 pixels
 * (kyutai-labs/moshivis, kyuteye/modules/image_encoder.py; eps as transformers' SiglipVisionConfig has it).
 */
const HEAD_DIM = 72;
const NORM_EPS = 1e-6;

/** Larger than any that is known; a file that claims more is not what it says. */
const MAX_LAYERS = 256;

/** Reads the sizes of a tower off its tensors. @throws RuntimeError "invalid-checkpoint" for a file that holds none. */
export function visionConfigOf({ source, tensors }: Pick<TensorFile, "source" | "tensors">): VisionConfig {
  const shapeOf = (name: string, rank: number): readonly number[] => {
    const shape = tensors.get(`${TOWER}${name}`)?.shape;
    if (shape?.length === rank) return shape;
    throw invalidCheckpoint(source, `${TOWER}${name} is [${shape ?? "absent"}], expected ${rank} dimensions`);
  };
  const [dim, , patchSize] = shapeOf("embeddings.patch_embedding.weight", 4) as [number, number, number];
  const [positions] = shapeOf("embeddings.position_embedding.weight", 2) as [number];
  const [ffDim] = shapeOf("encoder.layers.0.mlp.fc1.weight", 2) as [number];
  let nLayers = 1;
  while (nLayers < MAX_LAYERS && tensors.has(`${TOWER}encoder.layers.${nLayers}.mlp.fc1.weight`)) nLayers++;
  const side = Math.sqrt(positions);
  if (!Number.isInteger(side))
    throw invalidCheckpoint(source, `${positions} positions make no square picture`);
  if (dim % HEAD_DIM !== 0) throw invalidCheckpoint(source, `a tower of ${dim} has no heads of ${HEAD_DIM}`);
  const nHeads = dim / HEAD_DIM;
  return { dim, nLayers, nHeads, ffDim, patchSize, imageSize: side * patchSize, normEps: NORM_EPS };
}

/** Tokens that a picture becomes: one a patch. */
export function imageTokens({ imageSize, patchSize }: VisionConfig): number {
  return (imageSize / patchSize) ** 2;
}
