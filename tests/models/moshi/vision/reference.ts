import type { VisionConfig } from "../../../../models/moshi/vision/config.ts";
import { add, attention, linear, rmsNorm, type Vector, type Weights } from "../reference/layers.ts";

/** The image encoder as plain sums in double precision, from the tensors as they are named in PyTorch's release. */
export function referenceTokens(
  rgb: ArrayLike<number>,
  config: VisionConfig,
  weights: Weights,
  outDim: number,
): Vector[] {
  const { nLayers, dim } = config;
  let rows = embed(rgb, config, (name) => weights(`image_prefix.enc.model.embeddings.${name}`));
  for (let i = 0; i < nLayers; i++) {
    rows = layer(rows, config, (name) => weights(`image_prefix.enc.model.encoder.layers.${i}.${name}`));
  }
  return rows.map((row) => {
    const last = norm(row, (name) => weights(`image_prefix.enc.model.post_layernorm.${name}`), config);
    const projected = affine(weights, "image_prefix.proj_xa", last, outDim);
    if (projected.length !== outDim || last.length !== dim) throw new Error("a row of another width");
    return rmsNorm(projected, weights("image_prefix.norm_xa.alpha"));
  });
}

/** A convolution of patchSize by patchSize with that stride, and a position for each patch. */
function embed(rgb: ArrayLike<number>, { imageSize, patchSize, dim }: VisionConfig, weights: Weights) {
  const side = imageSize / patchSize;
  const [weight, bias] = [weights("patch_embedding.weight"), weights("patch_embedding.bias")];
  const positions = weights("position_embedding.weight");
  const rows: Vector[] = [];
  for (let v = 0; v < side; v++) {
    for (let u = 0; u < side; u++) {
      const row = new Float64Array(dim);
      for (let out = 0; out < dim; out++) {
        let sum = bias[out]! + positions[(v * side + u) * dim + out]!;
        for (let colour = 0; colour < 3; colour++) {
          for (let y = 0; y < patchSize; y++) {
            for (let x = 0; x < patchSize; x++) {
              const pixel = rgb[((v * patchSize + y) * imageSize + u * patchSize + x) * 3 + colour]!;
              // From [0, 255] to [-1, 1].
              sum += weight[((out * 3 + colour) * patchSize + y) * patchSize + x]! * (pixel / 127.5 - 1);
            }
          }
        }
        row[out] = sum;
      }
      rows.push(row);
    }
  }
  return rows;
}

function layer(rows: readonly Vector[], config: VisionConfig, weights: Weights): Vector[] {
  const { dim, ffDim, nHeads } = config;
  const normed = rows.map((row) => norm(row, (name) => weights(`layer_norm1.${name}`), config));
  const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) =>
    normed.map((row) => affine(weights, `self_attn.${name}`, row, dim)),
  );
  return rows.map((row, i) => {
    const seen = attention(q![i]!, k!, v!, nHeads);
    const x = add(row, affine(weights, "self_attn.out_proj", seen, dim));
    const inner = affine(
      weights,
      "mlp.fc1",
      norm(x, (name) => weights(`layer_norm2.${name}`), config),
      ffDim,
    );
    return add(x, affine(weights, "mlp.fc2", inner.map(geluTanh), dim));
  });
}

function affine(weights: Weights, name: string, x: Vector, rows: number): Vector {
  return add(linear(weights(`${name}.weight`), x, rows), weights(`${name}.bias`));
}

function norm(x: Vector, weights: Weights, { normEps }: VisionConfig): Vector {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const [weight, bias] = [weights("weight"), weights("bias")];
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + normEps)) * weight[i]! + bias[i]!);
}

export function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}
