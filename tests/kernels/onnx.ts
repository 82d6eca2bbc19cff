import { InferenceSession, Tensor } from "onnxruntime-node";
import type { OnnxGraph } from "../../models/native/cpu/onnx-graph.ts";

/** Runs a graph on onnxruntime's CPU provider and gives its output "y": a second opinion on a reference. */
export async function runOnnx(
  graph: OnnxGraph,
  feeds: Record<string, { data: Float32Array | Float64Array; dims: readonly number[] }> = {},
): Promise<Float64Array> {
  const session = await InferenceSession.create(graph.encode(), { intraOpNumThreads: 1 });
  const tensors = Object.entries(feeds).map(([name, { data, dims }]) => {
    const tensor =
      data instanceof Float32Array ? new Tensor("float32", data, dims) : new Tensor("float64", data, dims);
    return [name, tensor] as const;
  });
  const { y } = await session.run(Object.fromEntries(tensors));
  await session.release();
  return Float64Array.from(y!.data as ArrayLike<number>, Number);
}
