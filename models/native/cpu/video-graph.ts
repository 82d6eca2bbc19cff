import type { Checkpoint } from "../checkpoint.ts";
import { tileCount } from "../config.ts";
import { toF32 } from "../quantize.ts";
import { addLinear } from "./linear.ts";
import { OnnxGraph } from "./onnx-graph.ts";

/** The network's input is the signed feature over this. README "Video features". */
const FEATURE_SCALE = 32;

/**
 * The hMLP as an ONNX model: `video` (2, height, width, 3) i8 -> `tokens` (tiles, dim) f32, without the tile embedding. Its
 * matrices are small and stay in f32.
 */
export function videoGraph(checkpoint: Checkpoint): Uint8Array {
  const { config, tensors } = checkpoint;
  const { width, height, tile, folds } = config.video;
  const graph = new OnnxGraph();
  const reshape = (x: string, shape: readonly number[]) => graph.node("Reshape", [x, graph.int64s(shape)]);
  const transpose = (x: string, perm: readonly number[]) =>
    graph.node("Transpose", [x], { attributes: { perm: { ints: perm } } });

  const video = graph.input("video", "int8", [2, height, width, 3]);
  const floats = graph.node("Cast", [video], { attributes: { to: { int: 1 } } });
  const scaled = graph.node("Mul", [floats, graph.scalar(1 / FEATURE_SCALE)]);
  // (frame, tile row, row, tile column, column, channel) -> (tiles, frame, row, column, channel)
  const cut = reshape(scaled, [2, height / tile, tile, width / tile, tile, 3]);
  let x = transpose(cut, [1, 3, 0, 2, 4, 5]);
  let [frames, side, channels] = [2, tile, 3];
  for (const [i, { t, h, out }] of folds.entries()) {
    const [newFrames, newSide] = [frames / t, side / h];
    // (tiles, frame, t, row, h, column, h, channel) -> rows of one neighbourhood each, in the order t, h, h, channel
    const split = reshape(x, [-1, newFrames, t, newSide, h, newSide, h, channels]);
    const neighbourhoods = reshape(transpose(split, [0, 1, 3, 5, 2, 4, 6, 7]), [-1, t * h * h * channels]);
    const name = `video.fold.${i}.weight`;
    x = addLinear(graph, neighbourhoods, name, tensors.get(name)!);
    if (i < folds.length - 1) {
      const norm = toF32(tensors.get(`video.fold.${i}.norm`)!).data;
      const weight = graph.constant(`video.fold.${i}.norm`, "float32", [out], norm);
      const normed = graph.node("SimplifiedLayerNormalization", [x, weight], {
        attributes: { axis: { int: -1 }, epsilon: { float: config.video.normEps } },
      });
      x = graph.node("Gelu", [normed], { domain: "com.microsoft" });
    }
    [frames, side, channels] = [newFrames, newSide, out];
  }
  graph.output(graph.node("Identity", [x], { name: "tokens" }), "float32", [tileCount(config), config.dim]);
  return graph.encode();
}
