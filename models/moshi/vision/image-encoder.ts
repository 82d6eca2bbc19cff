import { InferenceSession, Tensor } from "onnxruntime-node";
import { expectLength, RuntimeError } from "../../../src/core/errors.ts";
import { sessionOptions } from "../../native/cpu/session.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { openPublished } from "../tensor-names.ts";
import { ENCODER, imageTokens, TOWER, type VisionConfig, visionConfigOf } from "./config.ts";
import { embeddingGraph, layerGraph, projectionGraph, type TowerGraph } from "./tower-graphs.ts";

const EMBEDDINGS = `${TOWER}embeddings.`;

/** norm_xa: mean square and eps as in the Rust and MLX releases. */
const PROJECTION_EPS = 1e-8;

/** One of the graphs, ready to run with weights of any layer. */
interface Part {
  session: InferenceSession;
  weights: TowerGraph["weights"];
}

export interface ImageEncoderOptions {
  /** The file that holds the encoder: that of the language model, or one beside it. */
  path: string;
  /** Width of the language model. */
  outDim: number;
}

/**
 * The image encoder of MoshiVis, on the processor: a picture becomes the tokens that the language model attends to. It is
 * needed once in a conversation, so that its weights are read when there is a picture, layer by layer, and kept no longer.
 */
export class ImageEncoder {
  readonly config: VisionConfig;
  readonly #path: string;
  readonly #embedding: Part;
  readonly #layer: Part;
  readonly #projection: Part;

  private constructor(
    path: string,
    config: VisionConfig,
    parts: { embedding: Part; layer: Part; projection: Part },
  ) {
    this.#path = path;
    this.config = config;
    this.#embedding = parts.embedding;
    this.#layer = parts.layer;
    this.#projection = parts.projection;
  }

  /**
   * Builds the graphs for the tower that the file holds, and sees that it has all tensors that they will be fed.
   *
   * @throws RuntimeError "missing-file", or "invalid-checkpoint" naming the tensor that is missing or of another shape.
   */
  static async open({ path, outDim }: ImageEncoderOptions): Promise<ImageEncoder> {
    const file = await openPublished(path);
    // What is said of the tensors stays when the file is closed.
    await file.close();
    const config = visionConfigOf(file);
    const graphs = {
      embedding: embeddingGraph(config),
      layer: layerGraph(config),
      projection: projectionGraph(config, { out: outDim, eps: PROJECTION_EPS }),
    };
    expectWeights(file, EMBEDDINGS, graphs.embedding);
    for (let i = 0; i < config.nLayers; i++) expectWeights(file, layerPrefix(i), graphs.layer);
    expectWeights(file, ENCODER, graphs.projection);
    const create = async ({ bytes, weights }: TowerGraph): Promise<Part> => ({
      session: await InferenceSession.create(bytes, sessionOptions(towerBytes(config))),
      weights,
    });
    return new ImageEncoder(path, config, {
      embedding: await create(graphs.embedding),
      layer: await create(graphs.layer),
      projection: await create(graphs.projection),
    });
  }

  /**
   * Encodes a picture, one layer between two yields: on a small machine all of it takes longer than a session may stand still.
   * Whoever gives up calls `return`.
   *
   * @param rgb (imageSize, imageSize, 3) u8. Borrowed until the first yield.
   * @returns   (tokens, outDim) f32 row-major; patches row by row.
   * @throws RuntimeError "shape-mismatch" for another size, "invalid-checkpoint" if the file has changed since.
   */
  async *encode(rgb: Uint8Array): AsyncGenerator<void, Float32Array, void> {
    let x = patchesOf(rgb, this.config);
    const file = await openPublished(this.#path);
    try {
      x = await run(this.#embedding, file, EMBEDDINGS, x);
      for (let i = 0; i < this.config.nLayers; i++) {
        yield;
        x = await run(this.#layer, file, layerPrefix(i), x);
      }
      x = await run(this.#projection, file, ENCODER, x);
    } finally {
      await file.close();
    }
    return x.data as Float32Array;
  }

  async close(): Promise<void> {
    for (const { session } of [this.#embedding, this.#layer, this.#projection]) await session.release();
  }
}

function layerPrefix(i: number): string {
  return `${TOWER}encoder.layers.${i}.`;
}

async function run({ session, weights }: Part, file: TensorFile, prefix: string, x: Tensor): Promise<Tensor> {
  const feeds: Record<string, Tensor> = { x };
  for (const { name, shape } of weights)
    feeds[name] = new Tensor("float32", await file.read(`${prefix}${name}`), shape);
  const { y } = await session.run(feeds);
  return y as Tensor;
}

/** (tokens, 3 patchSize²) in [-1, 1]: each patch's pixels in the order colour, row, column. */
function patchesOf(rgb: Uint8Array, config: VisionConfig): Tensor {
  const { imageSize, patchSize } = config;
  expectLength("image encoder", "a picture", rgb.length, 3 * imageSize ** 2);
  const [side, tokens, width] = [imageSize / patchSize, imageTokens(config), 3 * patchSize ** 2];
  const data = new Float32Array(tokens * width);
  let next = 0;
  for (let token = 0; token < tokens; token++) {
    const top = Math.floor(token / side) * patchSize;
    const left = (token % side) * patchSize;
    for (let colour = 0; colour < 3; colour++) {
      for (let y = top; y < top + patchSize; y++) {
        for (let x = left; x < left + patchSize; x++) {
          data[next++] = (rgb[3 * (y * imageSize + x) + colour]! / 255 - 0.5) / 0.5;
        }
      }
    }
  }
  return new Tensor("float32", data, [tokens, width]);
}

function expectWeights(file: TensorFile, prefix: string, { weights }: TowerGraph): void {
  for (const { name, shape } of weights) {
    const entry = file.tensors.get(`${prefix}${name}`);
    if (entry && entry.shape.join() === shape.join()) continue;
    throw new RuntimeError("invalid-checkpoint", {
      part: file.source,
      problem: entry
        ? `${entry.name} is (${entry.shape.join(", ")}), expected (${shape.join(", ")})`
        : `has no tensor ${prefix}${name}`,
      remedy: "Give a MoshiVis checkpoint with its image encoder",
    });
  }
}

/** What all layers' matrices take, in f32. */
function towerBytes({ dim, ffDim, nLayers }: VisionConfig): number {
  return 4 * nLayers * (4 * dim * dim + 2 * dim * ffDim);
}
