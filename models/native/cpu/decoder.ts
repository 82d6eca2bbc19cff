import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Checkpoint } from "../checkpoint.ts";
import type { NativeConfig } from "../config.ts";
import { type PlannedToken, rotaryAngles } from "../sequence.ts";
import { decoderGraph } from "./decoder-graph.ts";
import { type BlockFeatures, Embedding } from "./embedding.ts";
import { Memory, UNSEEN } from "./memory.ts";
import { sessionOptions } from "./session.ts";

/** What a run of n tokens is fed beside the memory. Made when n first occurs; n is at most the longest input block. */
interface RunBuffers {
  x: Float32Array;
  cos: Float32Array;
  sin: Float32Array;
  feeds: Record<string, Tensor>;
}

/** The transformer and its memory: one run per input block or output token. */
export class Decoder {
  readonly #config: NativeConfig;
  readonly #session: InferenceSession;
  readonly #embedding: Embedding;
  readonly #memory: Memory;
  readonly #buffers = new Map<number, RunBuffers>();
  readonly #angles: Float32Array;

  private constructor(checkpoint: Checkpoint, session: InferenceSession) {
    this.#config = checkpoint.config;
    this.#session = session;
    this.#embedding = new Embedding(checkpoint);
    this.#memory = new Memory(checkpoint.config);
    this.#angles = new Float32Array(checkpoint.config.headDim);
  }

  static async create(checkpoint: Checkpoint): Promise<Decoder> {
    const graph = decoderGraph(checkpoint);
    return new Decoder(checkpoint, await InferenceSession.create(graph, sessionOptions(graph.byteLength)));
  }

  /**
   * Takes tokens in and remembers them.
   *
   * @param tokens   In order of position, at least one.
   * @param features Of the input block; null for a said token.
   * @returns (vocabSize) logits after the last token; the caller's own.
   */
  async run(tokens: readonly PlannedToken[], features: BlockFeatures | null): Promise<Float32Array> {
    const { dim, headDim } = this.#config;
    const half = headDim / 2;
    const { x, cos, sin, feeds } = this.#buffersFor(tokens.length);
    for (const [i, token] of tokens.entries()) {
      this.#embedding.write(token, features, x.subarray(i * dim, (i + 1) * dim));
      rotaryAngles(this.#config, token.position, this.#angles);
      cos.set(this.#angles.subarray(0, half), i * half);
      sin.set(this.#angles.subarray(half), i * half);
    }
    this.#memory.lookBack(tokens);
    const result = await this.#session.run(feeds);
    this.#memory.write(tokens, result.kv!.data as Float32Array);
    return result.logits!.data as Float32Array;
  }

  reset(): void {
    this.#memory.clear();
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  #buffersFor(n: number): RunBuffers {
    const known = this.#buffers.get(n);
    if (known) return known;
    const { dim, headDim } = this.#config;
    const x = new Float32Array(n * dim);
    const cos = new Float32Array((n * headDim) / 2);
    const sin = new Float32Array((n * headDim) / 2);
    const mask = new Float32Array(n * n);
    for (let query = 0; query < n; query++) mask.fill(UNSEEN, query * n + query + 1, (query + 1) * n);
    const feeds = {
      ...this.#memory.feeds,
      x: new Tensor("float32", x, [n, dim]),
      cos: new Tensor("float32", cos, [n, headDim / 2]),
      sin: new Tensor("float32", sin, [n, headDim / 2]),
      new_mask: new Tensor("float32", mask, [n, n]),
    };
    const buffers = { x, cos, sin, feeds };
    this.#buffers.set(n, buffers);
    return buffers;
  }
}
