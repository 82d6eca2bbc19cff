import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openPublished } from "../../../models/moshi/tensor-names.ts";
import { temporaryFolder } from "../../cli/media.ts";
import { rawSafetensorsFile } from "../native/safetensors-file.ts";

const folder = temporaryFolder();

/** Name and shape in PyTorch's release; name here, if it is another; name in MLX's. */
const NAMES: [string, number[], string | null, string][] = [
  ["llm.text_emb.weight", [5, 8], "text_emb.weight", "text_emb.weight"],
  ["llm.out_norm.alpha", [1, 1, 8], "out_norm.alpha", "out_norm.weight"],
  ["audio_emb.0.weight", [3, 8], "emb.0.weight", "audio_embs.0.weight"],
  ["audio_linears.0.weight", [3, 4], "linears.0.weight", "depformer.slices.0.linear_out.weight"],
  [
    "llm.transformer.layers.0.norm_cross.alpha",
    [1, 1, 8],
    "transformer.layers.0.norm_cross.alpha",
    "transformer.layers.0.norm_cross.weight",
  ],
  [
    "llm.transformer.layers.0.cross_attention.gate.alpha.0.weight",
    [1, 8],
    "transformer.layers.0.cross_attention.gate.alpha.0.weight",
    "transformer.layers.0.cross_attention.gate.alpha.layers.0.weight",
  ],
  [
    "llm.transformer.layers.0.cross_attention.mha.out_proj.weight",
    [8, 8],
    "transformer.layers.0.cross_attention.out_proj.weight",
    "transformer.layers.0.cross_attention.mha.out_proj.weight",
  ],
  ["image_prefix.norm_xa.alpha", [1, 1, 8], null, "transformer.image_prefix.norm_xa.weight"],
  ["image_prefix.proj_xa.bias", [8], null, "transformer.image_prefix.proj_xa.bias"],
  ["image_prefix.enc.model.post_layernorm.weight", [6], null, "img_embedder.model.post_layernorm.weight"],
];
const IN_PROJ = "transformer.layers.0.cross_attention.in_proj_weight";

const numbers = (seed: number, shape: readonly number[]) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 100 * seed + i);

async function read(name: string, tensors: [string, number[], Float32Array][]) {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(([tensor, shape, data]) => {
      end += data.byteLength;
      return [tensor, { dtype: "F32", shape, data_offsets: [end - data.byteLength, end] }];
    }),
  );
  const path = join(folder, name);
  const bytes = tensors.map(([, , data]) => new Uint8Array(data.buffer));
  writeFileSync(path, rawSafetensorsFile(JSON.stringify(header), bytes));
  const file = await openPublished(path);
  const found: Record<string, { shape: readonly number[]; data: number[] }> = {};
  for (const [tensor, { shape }] of file.tensors)
    found[tensor] = { shape, data: [...(await file.read(tensor))] };
  await file.close();
  return found;
}

function expected() {
  const all: Record<string, { shape: readonly number[]; data: number[] }> = {};
  for (const [i, [name, shape, here]] of NAMES.entries()) {
    all[here ?? name] = { shape, data: [...numbers(i, shape)] };
  }
  all[IN_PROJ] = { shape: [24, 8], data: [...numbers(50, [24, 8])] };
  return all;
}

test("PyTorch's names of MoshiVis become those of Moshi", async () => {
  const tensors = NAMES.map(([name, shape], i): [string, number[], Float32Array] => [
    name,
    shape,
    numbers(i, shape),
  ]);
  const inProj = `llm.${IN_PROJ.replace("attention.", "attention.mha.")}`;
  tensors.push([inProj, [24, 8], numbers(50, [24, 8])]);
  expect(await read("torch.safetensors", tensors)).toEqual(expected());
});

test("so do MLX's, with queries apart from keys and values", async () => {
  const tensors = NAMES.map(([, shape, , name], i): [string, number[], Float32Array] => [
    name,
    name.endsWith("weight") && shape.length === 3 ? shape.slice(2) : shape,
    numbers(i, shape),
  ]);
  const inProj = numbers(50, [24, 8]);
  const mha = "transformer.layers.0.cross_attention.mha";
  // Not in order: a file lists its tensors by name.
  tensors.push([`${mha}.kv_proj.weight`, [16, 8], inProj.slice(64)]);
  tensors.push([`${mha}.q_proj.weight`, [8, 8], inProj.slice(0, 64)]);
  expect(await read("mlx.safetensors", tensors)).toEqual(expected());
});
