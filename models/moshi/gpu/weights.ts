import type { Matrix, MatrixFormat } from "../../../kernels/matrix.ts";
import type { EmbeddedToken } from "../../../kernels/token-embedding/token-embedding.ts";
import type { BufferView } from "../../../src/gpu/buffers.ts";
import type { DepthConfig, MoshiConfig, TransformerConfig } from "../config.ts";
import type { WeightLoader } from "./weight-loader.ts";

/**
 * How weights are held. The matrices of the layers and those that bring `transformerOut` into the depth transformer are in
 * the format itself. Embeddings and heads are read once or sparsely and touch every token, so they stay f32, or f16 under
 * any other format; norms are f32.
 */
export interface WeightFormats {
  temporal: MatrixFormat;
  depth: MatrixFormat;
}

/** The matrices of one layer. */
export interface LayerMatrices {
  /** ((nHeads + 2 nKvHeads) headDim, dim): q, k, v. */
  qkv: Matrix;
  attentionOut: Matrix;
  /** (2 width, dim), (dim, width). */
  gateUp: Matrix;
  down: Matrix;
}

export interface LayerNorms {
  attention: BufferView;
  mlp: BufferView;
}

/** A layer's cross-attention; keys and values are made once, of `keyValue`, when the condition is known. */
export interface CrossWeights {
  norm: { weight: BufferView; bias: BufferView };
  query: Matrix;
  keyValue: Matrix;
  out: Matrix;
}

/** Cross-attention that all layers have in common, but for a norm and a gate in each. */
export interface GatedCrossWeights {
  query: Matrix;
  keyValue: Matrix;
  out: Matrix;
  layers: readonly {
    norm: BufferView;
    /** sigmoid(widen · max(narrow · y, 0) + bias) scales each element of what was attended to, y. */
    gate: { narrow: Matrix; widen: Matrix };
  }[];
}

/** How the token before a depth step becomes a vector of the depth transformer's width. */
export interface DepthEmbedding {
  table: Matrix;
  /** One lookup each; null where the table is as wide as the transformer. */
  lookups: readonly { entry: EmbeddedToken; project: Matrix | null }[];
}

export interface TemporalWeights {
  table: Matrix;
  entries: readonly EmbeddedToken[];
  /** With demux: each of the two texts through a matrix of its own. */
  texts: readonly { entry: EmbeddedToken; project: Matrix }[];
  layers: readonly (LayerMatrices & { norms: LayerNorms; cross: CrossWeights | null })[];
  gatedCross: GatedCrossWeights | null;
  outNorm: BufferView;
  textHead: Matrix;
  /** (count classes, dim). */
  extraHeads: Matrix | null;
}

export interface DepthWeights {
  /** By weight set. */
  inputs: readonly Matrix[];
  /** By layer. */
  norms: readonly LayerNorms[];
  /** By weight set, then layer. */
  layers: readonly (readonly LayerMatrices[])[];
  /** By step: what comes before it. */
  embeddings: readonly DepthEmbedding[];
  /** By step. */
  outNorms: readonly ({ weight: BufferView; bias: BufferView } | null)[];
  /** By step: (card, dim). */
  heads: readonly Matrix[];
}

/** What embeddings and heads are held in. */
function fine(format: MatrixFormat): "f32" | "f16" {
  return format === "f32" ? "f32" : "f16";
}

export async function loadTemporal(
  load: WeightLoader,
  config: MoshiConfig,
  format: MatrixFormat,
): Promise<TemporalWeights> {
  const { temporal, nQ, card, textCard, textCardOut, extraHeads } = config;
  const { dim, nLayers } = temporal;
  const audio = Array.from({ length: nQ }, (_, q) => ({
    tensor: `emb.${q}.weight`,
    rows: card + 1,
    cols: dim,
  }));
  const text = { tensor: "text_emb.weight", rows: textCard + 1, cols: dim };
  const audioEntries = audio.map((_, q) => ({ slot: 1 + q, firstRow: q * (card + 1) }));
  const textRow = nQ * (card + 1);
  const table = await load.stack("embeddings", [...audio, text], fine(format));
  const layers: TemporalWeights["layers"][number][] = [];
  for (let i = 0; i < nLayers; i++) {
    const prefix = `transformer.layers.${i}`;
    layers.push({
      ...(await loadLayer(load, prefix, temporal, { set: 0, nSets: 1, mlp: `${prefix}.gating` }, format)),
      norms: await loadNorms(load, prefix, dim),
      cross: config.crossAttention === "plain" ? await loadCross(load, prefix, dim, format) : null,
    });
  }
  const square = (tensor: string) => load.matrix({ tensor, rows: dim, cols: dim }, fine(format));
  const texts = config.demux
    ? [
        { entry: demuxed(0, textRow, textCard, 0), project: await square("text_emb.out1.weight") },
        { entry: demuxed(0, textRow, textCard, 1), project: await square("text_emb.out2.weight") },
      ]
    : [];
  const heads = Array.from({ length: extraHeads.count }, (_, i) => ({
    tensor: `extra_heads.${i}.weight`,
    rows: extraHeads.classes,
    cols: dim,
  }));
  return {
    table,
    entries: config.demux ? audioEntries : [...audioEntries, { slot: 0, firstRow: textRow }],
    texts,
    layers,
    gatedCross: config.crossAttention === "gated" ? await loadGatedCross(load, temporal, format) : null,
    outNorm: await load.vector("out_norm.alpha", dim),
    textHead: await load.matrix({ tensor: "text_linear.weight", rows: textCardOut, cols: dim }, fine(format)),
    extraHeads: heads.length > 0 ? await load.stack("extra heads", heads, fine(format)) : null,
  };
}

/** @param nSteps Depth steps that are ever run: what only later ones use is not loaded. */
export async function loadDepth(
  load: WeightLoader,
  config: MoshiConfig,
  depth: DepthConfig,
  { nSteps, format }: { nSteps: number; format: MatrixFormat },
): Promise<DepthWeights> {
  const { card, temporal } = config;
  const { dim, nLayers, nWeightSets } = depth;
  const nLoaded = Math.max(...depth.schedule.slice(0, nSteps)) + 1;
  const weights = {
    inputs: [] as Matrix[],
    norms: [] as LayerNorms[],
    layers: [] as LayerMatrices[][],
    embeddings: [] as DepthEmbedding[],
    outNorms: [] as DepthWeights["outNorms"][number][],
    heads: [] as Matrix[],
  };
  for (let j = 0; j < nLayers; j++) weights.norms.push(await loadNorms(load, `depformer.layers.${j}`, dim));
  for (let set = 0; set < nLoaded; set++) {
    const tensor = `depformer_in.${set}.weight`;
    weights.inputs.push(await load.matrix({ tensor, rows: dim, cols: temporal.dim }, format));
    const layers: LayerMatrices[] = [];
    for (let j = 0; j < nLayers; j++) {
      const prefix = `depformer.layers.${j}`;
      const place = { set, nSets: nWeightSets, mlp: `${prefix}.gating.${set}` };
      layers.push(await loadLayer(load, prefix, depth, place, format));
    }
    weights.layers.push(layers);
  }
  for (let k = 0; k < nSteps; k++) {
    weights.embeddings.push(await loadDepthEmbedding(load, config, depth, k, fine(format)));
    const norm = `depformer_norms.${k}`;
    weights.outNorms.push(depth.outputNorm ? await loadAffine(load, norm, dim) : null);
    weights.heads.push(
      await load.matrix({ tensor: `linears.${k}.weight`, rows: card, cols: dim }, fine(format)),
    );
  }
  return weights;
}

/** Fused tensors hold one block of rows per weight set, and in each the rows of q, k and v. */
async function loadLayer(
  load: WeightLoader,
  prefix: string,
  { dim, nHeads, nKvHeads, headDim, ffDim }: TransformerConfig,
  { set, nSets, mlp }: { set: number; nSets: number; mlp: string },
  format: MatrixFormat,
): Promise<LayerMatrices> {
  const block = (tensor: string, rows: number) =>
    load.matrix({ tensor, rows, cols: dim, first: set * rows, rowsInFile: nSets * rows }, format);
  const names = { linearIn: `${mlp}.linear_in.weight`, linearOut: `${mlp}.linear_out.weight` };
  return {
    qkv: await block(`${prefix}.self_attn.in_proj_weight`, (nHeads + 2 * nKvHeads) * headDim),
    attentionOut: await block(`${prefix}.self_attn.out_proj.weight`, dim),
    ...(await load.gatedMlp(names, dim, ffDim, format)),
  };
}

async function loadNorms(load: WeightLoader, prefix: string, dim: number): Promise<LayerNorms> {
  return {
    attention: await load.vector(`${prefix}.norm1.alpha`, dim),
    mlp: await load.vector(`${prefix}.norm2.alpha`, dim),
  };
}

async function loadAffine(load: WeightLoader, prefix: string, dim: number) {
  return {
    weight: await load.vector(`${prefix}.weight`, dim),
    bias: await load.vector(`${prefix}.bias`, dim),
  };
}

async function loadCross(
  load: WeightLoader,
  prefix: string,
  dim: number,
  format: MatrixFormat,
): Promise<CrossWeights> {
  return {
    norm: await loadAffine(load, `${prefix}.norm_cross`, dim),
    ...(await loadCrossMatrices(load, prefix, dim, format)),
  };
}

async function loadCrossMatrices(load: WeightLoader, prefix: string, dim: number, format: MatrixFormat) {
  const inProj = { tensor: `${prefix}.cross_attention.in_proj_weight`, rowsInFile: 3 * dim, cols: dim };
  const outProj = { tensor: `${prefix}.cross_attention.out_proj.weight`, rows: dim, cols: dim };
  return {
    query: await load.matrix({ ...inProj, rows: dim }, format),
    keyValue: await load.matrix({ ...inProj, first: dim, rows: 2 * dim }, format),
    out: await load.matrix(outProj, format),
  };
}

/** What layers have in common is stored with the first. */
async function loadGatedCross(
  load: WeightLoader,
  { dim, nLayers }: TransformerConfig,
  format: MatrixFormat,
): Promise<GatedCrossWeights> {
  const width = Math.floor(dim / 8);
  const layers: GatedCrossWeights["layers"][number][] = [];
  for (let i = 0; i < nLayers; i++) {
    const prefix = `transformer.layers.${i}`;
    const gate = `${prefix}.cross_attention.gate.alpha`;
    layers.push({
      norm: await load.vector(`${prefix}.norm_cross.alpha`, dim),
      gate: {
        narrow: await load.matrix({ tensor: `${gate}.0.weight`, rows: width, cols: dim }, format),
        widen: await load.matrix({ tensor: `${gate}.2.weight`, rows: dim, cols: width }, format),
      },
    });
  }
  return { ...(await loadCrossMatrices(load, "transformer.layers.0", dim, format)), layers };
}

async function loadDepthEmbedding(
  load: WeightLoader,
  { card, textCard, demux }: MoshiConfig,
  { dim, lowRank }: DepthConfig,
  k: number,
  format: "f32" | "f16",
): Promise<DepthEmbedding> {
  const name = k === 0 ? "depformer_text_emb" : `depformer_emb.${k - 1}`;
  const width = lowRank ?? dim;
  const rows = (k === 0 ? textCard : card) + 1;
  const table = await load.matrix({ tensor: `${name}.weight`, rows, cols: width }, format);
  const project = (tensor: string) => load.matrix({ tensor, rows: dim, cols: width }, format);
  if (k === 0 && demux) {
    // The checkpoint's low_rank matrix of this embedding is not used: out1 and out2 bring it to its width.
    const first = { entry: demuxed(k, 0, textCard, 0), project: await project(`${name}.out1.weight`) };
    const second = { entry: demuxed(k, 0, textCard, 1), project: await project(`${name}.out2.weight`) };
    return { table, lookups: [first, second] };
  }
  const entry = { slot: k, firstRow: 0 };
  if (lowRank === null) return { table, lookups: [{ entry, project: null }] };
  return { table, lookups: [{ entry, project: await project(`${name}.low_rank.weight`) }] };
}

/** A text token that holds two: (second + 1) · (textCard + 1) + first. */
function demuxed(slot: number, firstRow: number, textCard: number, digit: 0 | 1): EmbeddedToken {
  return { slot, firstRow, demux: { radix: textCard + 1, digit } };
}
