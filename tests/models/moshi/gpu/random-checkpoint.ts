import { type MoshiConfig, parseMoshiConfig } from "../../../../models/moshi/config.ts";
import type { LanguageModel, LanguageModelOptions } from "../../../../models/moshi/language-model.ts";
import type { TensorEntry, TensorFile } from "../../../../models/tensors/tensor-file.ts";
import { gaussian } from "../../../kernels/harness.ts";
import { type ReferenceConfig, referenceConfig } from "../reference/config.ts";
import { referenceLanguageModel } from "../reference/language-model.ts";

/** Small, with all that Moshi has: see `randomCheckpoint` for what may be added. */
export const SMALL = {
  dim: 32,
  num_layers: 2,
  num_heads: 4,
  hidden_scale: 4.125,
  context: 5,
  max_period: 10_000,
  n_q: 3,
  dep_q: 2,
  card: 13,
  text_card: 19,
  delays: [0, 0, 1, 0],
  depformer_dim: 32,
  depformer_num_layers: 1,
  depformer_num_heads: 2,
};

export interface RandomCheckpoint {
  config: MoshiConfig;
  tensors: TensorFile;
  /**
   * The same network in double precision.
   *
   * @param held What becomes of a tensor as it is held on the device. Default: itself.
   */
  reference(
    options?: Partial<LanguageModelOptions>,
    held?: (name: string, data: Float32Array) => Float32Array,
  ): LanguageModel;
}

/** A checkpoint of random weights, of the size that a config.json says, with the published names and layouts. */
export function randomCheckpoint(json: Record<string, unknown>, seed = 1): RandomCheckpoint {
  const shape = referenceConfig(json);
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [name, dims] of shapes(shape)) {
    const length = dims.reduce((product, size) => product * size, 1);
    const isNorm = name.endsWith(".alpha") || /norm\w*\.(\d+\.)?weight$/.test(name);
    // Sums over a row keep the size of what goes in.
    const scale = dims.length === 1 || isNorm ? 0.2 : 1 / Math.sqrt(dims.at(-1)!);
    const data = gaussian(seed + tensors.size, length, scale).map((value) => (isNorm ? 1 + value : value));
    tensors.set(name, { shape: dims, data });
  }
  const find = (name: string): { shape: number[]; data: Float32Array } => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`there is no tensor ${name}`);
    return tensor;
  };
  return {
    config: parseMoshiConfig(JSON.stringify(json), "config.json"),
    tensors: {
      source: "random.safetensors",
      tensors: new Map<string, TensorEntry>(
        [...tensors].map(([name, tensor]) => [name, { name, shape: tensor.shape, dtype: "F32" }]),
      ),
      read: async (name, range) => {
        const { data } = find(name);
        const start = range?.start ?? 0;
        return data.slice(start, start + (range?.count ?? data.length));
      },
      close: async () => {},
    },
    reference: (options, held = (_, data) => data) => {
      const weights = new Map([...tensors].map(([name, { data }]) => [name, held(name, data)]));
      return referenceLanguageModel(shape, (name) => weights.get(name) ?? find(name).data, options);
    },
  };
}

/** Names and shapes of all tensors, as the published files have them. */
export function shapes(config: ReferenceConfig): [string, number[]][] {
  const { dim, nLayers, gatedDim, textCard, card, nQ, depQ, depth, kvRepeat, extraHeads } = config;
  const nSets = Math.max(...depth.schedule, -1) + 1;
  const width = depth.lowRank ?? depth.dim;
  const list: [string, number[]][] = [
    ["text_emb.weight", [textCard + 1, dim]],
    ["text_linear.weight", [textCard, dim]],
    ["out_norm.alpha", [1, 1, dim]],
  ];
  const range = (count: number, each: (i: number) => [string, number[]][]) => {
    for (let i = 0; i < count; i++) list.push(...each(i));
  };
  range(nQ, (q) => [[`emb.${q}.weight`, [card + 1, dim]]]);
  if (config.demux) range(2, (i) => [[`text_emb.out${i + 1}.weight`, [dim, dim]]]);
  range(nLayers, (i) => {
    const prefix = `transformer.layers.${i}`;
    const shared: [string, number[]][] = [
      [`${prefix}.cross_attention.in_proj_weight`, [3 * dim, dim]],
      [`${prefix}.cross_attention.out_proj.weight`, [dim, dim]],
    ];
    const plain: [string, number[]][] = [
      ...shared,
      [`${prefix}.norm_cross.weight`, [dim]],
      [`${prefix}.norm_cross.bias`, [dim]],
    ];
    const gated: [string, number[]][] = [
      ...(i === 0 ? shared : []),
      [`${prefix}.norm_cross.alpha`, [1, 1, dim]],
      [`${prefix}.cross_attention.gate.alpha.0.weight`, [Math.floor(dim / 8), dim]],
      [`${prefix}.cross_attention.gate.alpha.2.weight`, [dim, Math.floor(dim / 8)]],
    ];
    const cross = { none: [], plain, gated }[config.crossAttention];
    return [
      [`${prefix}.norm1.alpha`, [1, 1, dim]],
      [`${prefix}.norm2.alpha`, [1, 1, dim]],
      [`${prefix}.self_attn.in_proj_weight`, [dim + (2 * dim) / kvRepeat, dim]],
      [`${prefix}.self_attn.out_proj.weight`, [dim, dim]],
      [`${prefix}.gating.linear_in.weight`, [2 * gatedDim, dim]],
      [`${prefix}.gating.linear_out.weight`, [dim, gatedDim]],
      ...cross,
    ];
  });
  range(extraHeads.count, (i) => [[`extra_heads.${i}.weight`, [extraHeads.classes, dim]]]);
  range(nSets, (s) => [[`depformer_in.${s}.weight`, [depth.dim, dim]]]);
  range(depth.nLayers, (j) => {
    const prefix = `depformer.layers.${j}`;
    const gating = Array.from({ length: nSets }, (_, s): [string, number[]][] => [
      [`${prefix}.gating.${s}.linear_in.weight`, [2 * depth.gatedDim, depth.dim]],
      [`${prefix}.gating.${s}.linear_out.weight`, [depth.dim, depth.gatedDim]],
    ]);
    return [
      [`${prefix}.norm1.alpha`, [1, 1, depth.dim]],
      [`${prefix}.norm2.alpha`, [1, 1, depth.dim]],
      [`${prefix}.self_attn.in_proj_weight`, [nSets * 3 * depth.dim, depth.dim]],
      [`${prefix}.self_attn.out_proj.weight`, [nSets * depth.dim, depth.dim]],
      ...gating.flat(),
    ];
  });
  range(depQ, (k) => {
    const name = k === 0 ? "depformer_text_emb" : `depformer_emb.${k - 1}`;
    const own: [string, number[]][] = [
      [`${name}.weight`, [(k === 0 ? textCard : card) + 1, width]],
      [`linears.${k}.weight`, [card, depth.dim]],
    ];
    if (depth.lowRank) own.push([`${name}.low_rank.weight`, [depth.dim, width]]);
    if (k === 0 && config.demux) {
      own.push([`${name}.out1.weight`, [depth.dim, width]], [`${name}.out2.weight`, [depth.dim, width]]);
    }
    if (depth.outputNorm) {
      own.push([`depformer_norms.${k}.weight`, [depth.dim]], [`depformer_norms.${k}.bias`, [depth.dim]]);
    }
    return own;
  });
  return list;
}
