import { OnnxGraph } from "../../native/cpu/onnx-graph.ts";
import { imageTokens, type VisionConfig } from "./config.ts";

/** A tensor that a graph is fed: its name in the checkpoint, below the graph's own prefix, and its shape. */
export interface FedTensor {
  name: string;
  shape: readonly number[];
}

/**
 * A part of the tower for onnxruntime: "x" goes in, "y" comes out, and all weights are fed. So no graph holds the 1.6 GB of
 * the whole tower, and no more than a layer of them is in memory at a time.
 */
export interface TowerGraph {
  bytes: Uint8Array;
  weights: readonly FedTensor[];
}

const COLOURS = 3;

/** Builds one of the graphs. Values are (tokens, features) unless a comment says otherwise. */
class TowerParts {
  readonly graph = new OnnxGraph();
  readonly weights: FedTensor[] = [];

  feed(name: string, shape: readonly number[]): string {
    this.weights.push({ name, shape });
    return this.graph.input(name, "float32", shape);
  }

  /** x · weightᵀ + bias. */
  linear(
    name: string,
    x: string,
    rows: number,
    cols: number,
    weightShape: readonly number[] = [rows, cols],
  ): string {
    const fed = this.feed(`${name}.weight`, weightShape);
    const matrix =
      weightShape.length === 2 ? fed : this.graph.node("Reshape", [fed, this.graph.int64s([rows, cols])]);
    const inputs = [x, matrix, this.feed(`${name}.bias`, [rows])];
    return this.graph.node("Gemm", inputs, { attributes: { transB: { int: 1 } } });
  }

  layerNorm(name: string, x: string, dim: number, eps: number): string {
    const inputs = [x, this.feed(`${name}.weight`, [dim]), this.feed(`${name}.bias`, [dim])];
    const attributes = { axis: { int: -1 }, epsilon: { float: eps } };
    return this.graph.node("LayerNormalization", inputs, { attributes });
  }

  /** (tokens, dim) as (heads, tokens, headDim), or with its last two dimensions the other way round. */
  heads(x: string, { nHeads, dim }: VisionConfig, order: readonly [number, number, number]): string {
    const split = this.graph.node("Reshape", [x, this.graph.int64s([-1, nHeads, dim / nHeads])]);
    return this.graph.node("Transpose", [split], { attributes: { perm: { ints: order } } });
  }

  add(a: string, b: string, name?: string): string {
    return this.graph.node("Add", [a, b], name ? { name } : {});
  }

  finish(rows: number, cols: number): TowerGraph {
    this.graph.output("y", "float32", [rows, cols]);
    return { bytes: this.graph.encode(), weights: this.weights };
  }
}

/** From the pixels of each patch, (tokens, 3 patchSize²) in the order colour, row, column, to embeddings with positions. */
export function embeddingGraph(config: VisionConfig): TowerGraph {
  const { dim, patchSize } = config;
  const [tokens, pixels] = [imageTokens(config), COLOURS * patchSize ** 2];
  const part = new TowerParts();
  const x = part.graph.input("x", "float32", [tokens, pixels]);
  const shape = [dim, COLOURS, patchSize, patchSize];
  const patches = part.linear("patch_embedding", x, dim, pixels, shape);
  part.add(patches, part.feed("position_embedding.weight", [tokens, dim]), "y");
  return part.finish(tokens, dim);
}

/** One layer: x += attention(LayerNorm(x)); x += fc2(gelu(fc1(LayerNorm(x)))). Every patch sees every other. */
export function layerGraph(config: VisionConfig): TowerGraph {
  const { dim, nHeads, ffDim, normEps } = config;
  const tokens = imageTokens(config);
  const part = new TowerParts();
  const { graph } = part;
  const x = graph.input("x", "float32", [tokens, dim]);
  const normed = part.layerNorm("layer_norm1", x, dim, normEps);
  const project = (name: string) => part.linear(`self_attn.${name}`, normed, dim, dim);
  const q = part.heads(project("q_proj"), config, [1, 0, 2]);
  const k = part.heads(project("k_proj"), config, [1, 2, 0]);
  const v = part.heads(project("v_proj"), config, [1, 0, 2]);
  const scale = graph.scalar(1 / Math.sqrt(dim / nHeads));
  const scores = graph.node("Mul", [graph.node("MatMul", [q, k]), scale]);
  const weights = graph.node("Softmax", [scores], { attributes: { axis: { int: -1 } } });
  const seen = graph.node("Transpose", [graph.node("MatMul", [weights, v])], {
    attributes: { perm: { ints: [1, 0, 2] } },
  });
  const joined = graph.node("Reshape", [seen, graph.int64s([-1, dim])]);
  const attended = part.add(x, part.linear("self_attn.out_proj", joined, dim, dim));
  const inner = part.linear("mlp.fc1", part.layerNorm("layer_norm2", attended, dim, normEps), ffDim, dim);
  // GELU in its approximation by tanh, gelu_pytorch_tanh.
  const gelu = graph.node("FastGelu", [inner], { domain: "com.microsoft" });
  part.add(attended, part.linear("mlp.fc2", gelu, dim, ffDim), "y");
  return part.finish(tokens, dim);
}

/**
 * From the last layer to what the language model attends to: norm_xa(proj_xa(post_layernorm(x))).
 *
 * @param out Width of the language model.
 * @param eps Of its RMSNorm, norm_xa.
 */
export function projectionGraph(
  config: VisionConfig,
  { out, eps }: { out: number; eps: number },
): TowerGraph {
  const { dim, normEps } = config;
  const tokens = imageTokens(config);
  const part = new TowerParts();
  const { graph } = part;
  const x = graph.input("x", "float32", [tokens, dim]);
  const last = part.layerNorm("enc.model.post_layernorm", x, dim, normEps);
  const projected = part.linear("proj_xa", last, out, dim);
  const alpha = graph.node("Reshape", [part.feed("norm_xa.alpha", [1, 1, out]), graph.int64s([out])]);
  graph.node("SimplifiedLayerNormalization", [projected, alpha], {
    attributes: { axis: { int: -1 }, epsilon: { float: eps } },
    name: "y",
  });
  return part.finish(tokens, out);
}
