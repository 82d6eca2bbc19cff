import { Q8_BLOCK } from "../../../kernels/matrix.ts";
import type { Q8Tensor, Tensor } from "../checkpoint.ts";
import type { OnnxGraph } from "./onnx-graph.ts";

/** MatMulNBits rounds the activations to int8 too; without it its 8-bit path is slower than f32. */
const INT8_ACTIVATIONS = 4;

/** ONNX's zero point of unsigned 8-bit weights. */
const ZERO_POINT = 128;

/** What is added to a product: a row for all tokens, or a matrix of the product's shape. */
export interface LinearOptions {
  bias?: string;
  residual?: string;
  /** Of the output. */
  name?: string;
}

/**
 * Adds `x · weightᵀ (+ bias) (+ residual)` to a graph.
 *
 * @param x      Value of shape (n, in).
 * @param name   The weight's, unique in the graph.
 * @param weight (out, in). In q8 the product runs on int8 activations.
 * @returns      Name of the (n, out) value.
 */
export function addLinear(
  graph: OnnxGraph,
  x: string,
  name: string,
  weight: Tensor,
  options: LinearOptions = {},
): string {
  const { bias, residual } = options;
  if (weight.kind === "q8") {
    const product = addMatMulNBits(graph, x, name, weight, options);
    if (!residual) return product;
    return graph.node("Add", [product, residual]);
  }
  const [rows, cols] = [weight.shape[0]!, weight.shape[1]!];
  const matrix = graph.constant(name, "float32", [rows, cols], weight.data);
  // Gemm has one addend; no linear of this model has both.
  const addend = bias ?? residual;
  return graph.node("Gemm", addend ? [x, matrix, addend] : [x, matrix], {
    attributes: { transB: { int: 1 } },
    ...(options.name ? { name: options.name } : {}),
  });
}

/** onnxruntime's product with block-quantised weights: its ContribOperators.md, "com.microsoft.MatMulNBits". */
function addMatMulNBits(
  graph: OnnxGraph,
  x: string,
  name: string,
  weight: Q8Tensor,
  options: LinearOptions,
): string {
  const { values, scales } = weight;
  const [rows, cols] = weight.shape;
  const blocks = cols / Q8_BLOCK;
  const unsigned = Uint8Array.from(values, (value) => value + ZERO_POINT);
  const inputs = [
    x,
    graph.constant(`${name}.q8`, "uint8", [rows, blocks, Q8_BLOCK], unsigned),
    graph.constant(`${name}.scale`, "float32", [rows * blocks], scales),
  ];
  if (options.bias) inputs.push("", "", options.bias);
  return graph.node("MatMulNBits", inputs, {
    domain: "com.microsoft",
    attributes: {
      K: { int: cols },
      N: { int: rows },
      bits: { int: 8 },
      block_size: { int: Q8_BLOCK },
      accuracy_level: { int: INT8_ACTIVATIONS },
    },
    ...(options.name ? { name: options.name } : {}),
  });
}
