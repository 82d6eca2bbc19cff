import type { VisionConfig } from "../../../../models/moshi/vision/config.ts";
import { gaussian } from "../../../kernels/harness.ts";

/** Nine patches, two heads of the only size there is. */
export const SMALL_TOWER: VisionConfig = {
  dim: 144,
  nLayers: 2,
  nHeads: 2,
  ffDim: 40,
  patchSize: 3,
  imageSize: 9,
  normEps: 1e-6,
};

/** Names and shapes of an image encoder's tensors, as PyTorch's release has them. */
export function towerShapes(
  { dim, nLayers, ffDim, patchSize, imageSize }: VisionConfig,
  outDim: number,
): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  const both = (name: string, rows: number, ...rest: number[]) => {
    shapes[`image_prefix.${name}.weight`] = [rows, ...rest];
    shapes[`image_prefix.${name}.bias`] = [rows];
  };
  const model = "enc.model";
  both(`${model}.embeddings.patch_embedding`, dim, 3, patchSize, patchSize);
  shapes[`image_prefix.${model}.embeddings.position_embedding.weight`] = [(imageSize / patchSize) ** 2, dim];
  for (let i = 0; i < nLayers; i++) {
    const layer = `${model}.encoder.layers.${i}`;
    for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"])
      both(`${layer}.self_attn.${name}`, dim, dim);
    for (const name of ["layer_norm1", "layer_norm2"]) both(`${layer}.${name}`, dim);
    both(`${layer}.mlp.fc1`, ffDim, dim);
    both(`${layer}.mlp.fc2`, dim, ffDim);
  }
  both(`${model}.post_layernorm`, dim);
  both("proj_xa", outDim, dim);
  shapes["image_prefix.norm_xa.alpha"] = [1, 1, outDim];
  return shapes;
}

/** Random tensors of those shapes. */
export function randomTower(
  config: VisionConfig,
  outDim: number,
): Record<string, { shape: number[]; data: Float32Array }> {
  return Object.fromEntries(
    Object.entries(towerShapes(config, outDim)).map(([name, shape], i) => {
      const length = shape.reduce((product, size) => product * size, 1);
      const isNorm = /norm\w*\.(weight|alpha)$/.test(name);
      // Sums over a row keep the size of what goes in.
      const fanIn = shape.length > 1 ? length / shape[0]! : 16;
      const data = gaussian(100 + i, length, isNorm ? 0.3 : 1 / Math.sqrt(fanIn));
      return [name, { shape, data: isNorm ? data.map((value) => 1 + value) : data }];
    }),
  );
}
