import type { Checkpoint } from "../checkpoint.ts";
import { toF32 } from "../quantize.ts";
import { cacheLayout } from "../sequence.ts";
import { addLinear, type LinearOptions } from "./linear.ts";
import { OnnxGraph } from "./onnx-graph.ts";

/** Slice's "to the end". */
const END = 2 ** 31;

/**
 * The transformer as an ONNX model: one input block (n tokens) or one decode step (n = 1) per run.
 *
 * Inputs, f32: `x` (n, dim) embeddings; `cos`, `sin` (n, headDim/2); `past_mask` (1, capacity) and `new_mask` (n, n), added
 * to the scores: 0 where a token sees, very negative where it does not; per layer i `past_k.i` (nKvHeads, 1, headDim,
 * capacity) and `past_v.i` (nKvHeads, 1, capacity, headDim).
 *
 * Outputs, f32: `logits` (1, vocabSize) of the last token; `kv` (n, nLayers · 2 · nKvHeads · headDim): per layer the
 * rotated keys, then the values, for the caller to write to the cache. New tokens see each other inside the run, so
 * the cache is read in place and never copied.
 */
export function decoderGraph(checkpoint: Checkpoint): Uint8Array {
  const { config } = checkpoint;
  const { dim, nLayers, nKvHeads, headDim, vocabSize } = config;
  const { capacity } = cacheLayout(config);
  const part = new DecoderParts(checkpoint);
  const { graph } = part;
  let x = graph.input("x", "float32", ["n", dim]);
  graph.input("cos", "float32", ["n", headDim / 2]);
  graph.input("sin", "float32", ["n", headDim / 2]);
  graph.input("past_mask", "float32", [1, capacity]);
  graph.input("new_mask", "float32", ["n", "n"]);
  const fresh: string[] = [];
  for (let i = 0; i < nLayers; i++) {
    graph.input(`past_k.${i}`, "float32", [nKvHeads, 1, headDim, capacity]);
    graph.input(`past_v.${i}`, "float32", [nKvHeads, 1, capacity, headDim]);
    const { attended, keys, values } = part.attention(i, part.norm(`layers.${i}.attention_norm`, x));
    fresh.push(keys, values);
    x = part.linear(`layers.${i}.attention_out`, attended, { residual: x });
    x = part.mlp(i, x);
  }
  const kv = graph.node("Concat", fresh, { name: "kv", attributes: { axis: { int: 1 } } });
  graph.output(kv, "float32", ["n", nLayers * 2 * nKvHeads * headDim]);
  const last = graph.node("Slice", [x, graph.int64s([-1]), graph.int64s([END]), graph.int64s([0])]);
  const bias = part.vector("head.bias");
  const logits = part.linear("embed.text", part.norm("out_norm", last), { bias, name: "logits" });
  graph.output(logits, "float32", [1, vocabSize]);
  return graph.encode();
}

/** The network's parts, each a few nodes. Values are (tokens, features) unless a comment says otherwise. */
class DecoderParts {
  readonly graph = new OnnxGraph();
  readonly #checkpoint: Checkpoint;

  constructor(checkpoint: Checkpoint) {
    this.#checkpoint = checkpoint;
  }

  /** Attention of already normed tokens over the cache and each other. Keys and values: (n, nKvHeads · headDim). */
  attention(layer: number, normed: string): { attended: string; keys: string; values: string } {
    const { graph } = this;
    const { nHeads, nKvHeads, headDim } = this.#checkpoint.config;
    const group = nHeads / nKvHeads;
    const [qWidth, kvWidth] = [nHeads * headDim, nKvHeads * headDim];
    const qkv = this.linear(`layers.${layer}.qkv`, normed);
    const [qk, values] = this.#split(qkv, [qWidth + kvWidth, kvWidth], [`qk.${layer}`, `v.${layer}`]);
    const [queries, keys] = this.#split(this.#rotate(qk), [qWidth, kvWidth], [`q.${layer}`, `k.${layer}`]);
    // The query heads of one key head share its matrices by broadcasting: (nKvHeads, group, n, headDim).
    const q = this.#transpose(this.#reshape(queries, [-1, nKvHeads, group, headDim]), [1, 2, 0, 3]);
    const newK = this.#transpose(this.#reshape(keys, [-1, nKvHeads, 1, headDim]), [1, 2, 3, 0]);
    const newV = this.#transpose(this.#reshape(values, [-1, nKvHeads, 1, headDim]), [1, 2, 0, 3]);
    const scores = graph.node(
      "Concat",
      [this.#scores(q, `past_k.${layer}`, "past_mask"), this.#scores(q, newK, "new_mask")],
      { attributes: { axis: { int: -1 } } },
    );
    const weights = graph.node("Softmax", [scores], { attributes: { axis: { int: -1 } } });
    const { capacity } = cacheLayout(this.#checkpoint.config);
    const sum = graph.node("Add", [
      graph.node("MatMul", [this.#columns(weights, 0, capacity), `past_v.${layer}`]),
      graph.node("MatMul", [this.#columns(weights, capacity, END), newV]),
    ]);
    const attended = this.#reshape(this.#transpose(sum, [2, 0, 1, 3]), [-1, qWidth]);
    return { attended, keys, values };
  }

  /** x + down · (silu(gate) · up). */
  mlp(layer: number, x: string): string {
    const { graph } = this;
    const { ffDim } = this.#checkpoint.config;
    const gateUp = this.linear(`layers.${layer}.gate_up`, this.norm(`layers.${layer}.mlp_norm`, x));
    const [gate, up] = this.#split(gateUp, [ffDim, ffDim], [`gate.${layer}`, `up.${layer}`]);
    const silu = graph.node("Mul", [gate, graph.node("Sigmoid", [gate])]);
    return this.linear(`layers.${layer}.down`, graph.node("Mul", [silu, up]), { residual: x });
  }

  norm(name: string, x: string): string {
    return this.graph.node("SimplifiedLayerNormalization", [x, this.vector(name)], {
      attributes: { axis: { int: -1 }, epsilon: { float: this.#checkpoint.config.normEps } },
    });
  }

  linear(name: string, x: string, options: LinearOptions = {}): string {
    return addLinear(this.graph, x, name, this.#checkpoint.tensors.get(name)!, options);
  }

  vector(name: string): string {
    const { data } = toF32(this.#checkpoint.tensors.get(name)!);
    return this.graph.constant(name, "float32", [data.length], data);
  }

  /** Rotates every head of (n, heads · headDim) by the fed angles: pairs (i, i + headDim/2). */
  #rotate(x: string): string {
    const heads = this.graph.node("Unsqueeze", [x, this.graph.int64s([0])]);
    // The fed angles are already those of the tokens' positions, row by row, so counting starts at row 0.
    const rotated = this.graph.node("RotaryEmbedding", [heads, this.graph.int64s([0]), "cos", "sin"], {
      domain: "com.microsoft",
    });
    return this.graph.node("Squeeze", [rotated, this.graph.int64s([0])]);
  }

  #scores(q: string, k: string, mask: string): string {
    const scale = 1 / Math.sqrt(this.#checkpoint.config.headDim);
    const product = this.graph.node("FusedMatMul", [q, k], {
      domain: "com.microsoft",
      attributes: { alpha: { float: scale } },
    });
    return this.graph.node("Add", [product, mask]);
  }

  #split(x: string, sizes: readonly number[], names: readonly [string, string]): readonly [string, string] {
    this.graph.nodes("Split", [x, this.graph.int64s(sizes)], names, { attributes: { axis: { int: -1 } } });
    return names;
  }

  #columns(x: string, start: number, end: number): string {
    const { graph } = this;
    return graph.node("Slice", [x, graph.int64s([start]), graph.int64s([end]), graph.int64s([-1])]);
  }

  #reshape(x: string, shape: readonly number[]): string {
    return this.graph.node("Reshape", [x, this.graph.int64s(shape)]);
  }

  #transpose(x: string, order: readonly number[]): string {
    return this.graph.node("Transpose", [x], { attributes: { perm: { ints: order } } });
  }
}
