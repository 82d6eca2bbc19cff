import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RELEASED_MIMI } from "../../../models/moshi/mimi/config.ts";
import { gaussian } from "../../kernels/harness.ts";
import { type StoredTensor, safetensorsFile, storeF32 } from "../native/safetensors-file.ts";
import { randomCheckpoint, SMALL } from "./gpu/random-checkpoint.ts";
import { configJsonOf } from "./mimi/config-json.ts";

/** Spells its unknown characters in bytes: some 300 pieces. */
const TOKENIZER = fileURLToPath(new URL("./sentencepiece/bytes.model", import.meta.url));

const RATIOS = [8, 6, 5, 4];
const MIMI = { dim: 16, nFilters: 4, nHeads: 2, nLayers: 1, ffDim: 32, context: 24, inner: 8, nCodebooks: 8 };

/** Moshi's kind in small: two speakers of two codebooks. */
export const TINY_MOSHI = {
  ...SMALL,
  n_q: 4,
  dep_q: 2,
  delays: [0, 0, 1, 0, 1],
  card: 13,
  text_card: 61,
  context: 20,
};

/** PersonaPlex's kind in small. Its prompts have codes up to 2047. */
export const TINY_PERSONAPLEX = {
  ...TINY_MOSHI,
  n_q: 16,
  dep_q: 16,
  delays: [0, ...[0, 1, 1, 1, 1, 1, 1, 1], ...[0, 1, 1, 1, 1, 1, 1, 1]],
  card: 2048,
  text_card: 320,
};

/** Writes a voice as `voices/convert.py` does: embeddings of three frames, and the tokens that are kept after them. */
export async function writeTinyVoice(path: string, seed: number): Promise<void> {
  const { dim, card, text_card: textCard } = TINY_PERSONAPLEX;
  const tokens = gaussian(seed + 1, 17 * 4, 1e4).map(
    (value, i) => Math.abs(Math.round(value)) % (i < 4 ? textCard : card),
  );
  const tensors = new Map([
    ["embeddings", storeF32([3, 1, 1, dim], gaussian(seed, 3 * dim, 0.5))],
    ["cache", storeF32([1, 17, 4], tokens)],
  ]);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, safetensorsFile(tensors));
}

/**
 * Writes a checkpoint of random weights as such are published: language model, codec, tokenizer and config.json.
 * @param more Tensors of the language model's file beside those that `json` calls for.
 */
export async function writeTinyCheckpoint(
  directory: string,
  json: Record<string, unknown> = TINY_MOSHI,
  more: ReadonlyMap<string, StoredTensor> = new Map(),
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const { config, tensors: file } = randomCheckpoint(json, 5);
  const model = new Map<string, StoredTensor>(more);
  for (const { name, shape } of file.tensors.values())
    model.set(name, storeF32(shape, await file.read(name)));
  await writeFile(join(directory, "config.json"), JSON.stringify(json));
  await writeFile(join(directory, "model.safetensors"), safetensorsFile(model));
  await writeFile(join(directory, "mimi-tiny@1.safetensors"), safetensorsFile(mimiTensors(config.card)));
  await writeFile(join(directory, "mimi_config.json"), JSON.stringify(mimiConfigJson(config.card)));
  await copyFile(TOKENIZER, join(directory, "tokenizer.model"));
}

/** @param bins entries of each codebook: the language model's `card`. */
export function mimiConfigJson(bins = TINY_MOSHI.card): object {
  const { dim, nFilters, nHeads, nLayers, ffDim, context, inner, nCodebooks } = MIMI;
  return configJsonOf({
    seanet: { ...RELEASED_MIMI.seanet, nFilters, ratios: RATIOS },
    transformer: { dim, nHeads, nLayers, ffDim, context, maxPeriod: 10_000 },
    quantizer: { dim: inner, nCodebooks, bins },
    nCodebooksUsed: nCodebooks,
  });
}

/** Names and shapes of the released codec, in small. */
function mimiTensors(bins: number): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  const add = (name: string, shape: number[], kind: "weight" | "one" | "scale" = "weight") => {
    const length = shape.reduce((product, size) => product * size, 1);
    const fanIn = length / shape[0]!;
    const size = kind === "weight" && shape.length > 1 ? 1.5 / Math.sqrt(fanIn) : 0.05;
    const base = { weight: 0, one: 1, scale: 0.3 }[kind];
    tensors.set(
      name,
      storeF32(
        shape,
        gaussian(900 + tensors.size, length, size).map((value) => base + value),
      ),
    );
  };
  const conv = (name: string, shape: number[], outChannels = shape[0]!) => {
    add(`${name}.weight`, shape);
    add(`${name}.bias`, [outChannels]);
  };
  const residual = (name: string, channels: number) => {
    conv(`${name}.block.1.conv.conv`, [channels / 2, channels, 3]);
    conv(`${name}.block.3.conv.conv`, [channels, channels / 2, 1]);
  };
  const { dim, nFilters, nLayers, ffDim, inner, nCodebooks } = MIMI;
  const widest = nFilters * 2 ** RATIOS.length;
  conv("encoder.model.0.conv.conv", [nFilters, 1, 7]);
  for (const [i, ratio] of RATIOS.toReversed().entries()) {
    const channels = nFilters * 2 ** i;
    residual(`encoder.model.${1 + 3 * i}`, channels);
    conv(`encoder.model.${3 + 3 * i}.conv.conv`, [2 * channels, channels, 2 * ratio]);
  }
  conv("encoder.model.14.conv.conv", [dim, widest, 3]);
  conv("decoder.model.0.conv.conv", [widest, dim, 7]);
  for (const [i, ratio] of RATIOS.entries()) {
    const channels = widest / 2 ** (i + 1);
    conv(`decoder.model.${2 + 3 * i}.convtr.convtr`, [2 * channels, channels, 2 * ratio], channels);
    residual(`decoder.model.${3 + 3 * i}`, channels);
  }
  conv("decoder.model.14.conv.conv", [1, nFilters, 3]);
  for (const side of ["encoder", "decoder"]) {
    for (let layer = 0; layer < nLayers; layer++) {
      const name = `${side}_transformer.transformer.layers.${layer}`;
      add(`${name}.self_attn.in_proj_weight`, [3 * dim, dim]);
      add(`${name}.self_attn.out_proj.weight`, [dim, dim]);
      add(`${name}.linear1.weight`, [ffDim, dim]);
      add(`${name}.linear2.weight`, [dim, ffDim]);
      for (const n of [1, 2]) {
        add(`${name}.norm${n}.weight`, [dim], "one");
        add(`${name}.norm${n}.bias`, [dim]);
        add(`${name}.layer_scale_${n}.scale`, [dim], "scale");
      }
    }
  }
  add("downsample.conv.conv.conv.weight", [dim, dim, 4]);
  add("upsample.convtr.convtr.convtr.weight", [dim, 1, 4]);
  for (const [part, count] of [
    ["rvq_first", 1],
    ["rvq_rest", nCodebooks - 1],
  ] as const) {
    add(`quantizer.${part}.input_proj.weight`, [inner, dim, 1]);
    add(`quantizer.${part}.output_proj.weight`, [dim, inner, 1]);
    for (let layer = 0; layer < count; layer++) {
      const name = `quantizer.${part}.vq.layers.${layer}._codebook`;
      add(`${name}.embedding_sum`, [bins, inner]);
      add(`${name}.cluster_usage`, [bins], "one");
    }
  }
  return tensors;
}
