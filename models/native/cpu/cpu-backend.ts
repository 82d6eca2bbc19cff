import { cpus } from "node:os";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { dmelLevels } from "../../../kernels/dmel/dmel.reference.ts";
import { chooseToken } from "../../../kernels/logits-sample/logits-sample.reference.ts";
import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import type { BackendOptions, InputBlock, NativeBackend, Sampling } from "../backend.ts";
import { type NativeConfig, SAID_SLOT, SLOTS_PER_TURN, videoLength } from "../config.ts";
import { withWeights } from "../quantize.ts";
import { checkBlock, planInput, planSaid, type TokenCounts } from "../sequence.ts";
import { Decoder } from "./decoder.ts";
import { sessionOptions } from "./session.ts";
import { videoGraph } from "./video-graph.ts";

/** Runs a checkpoint on the processor through onnxruntime. "f16" weights are computed in f32. */
export async function createCpuBackend(options: BackendOptions): Promise<NativeBackend> {
  const checkpoint = withWeights(options.checkpoint, options.weights);
  try {
    const decoder = await Decoder.create(checkpoint);
    const graph = videoGraph(checkpoint);
    const video = await InferenceSession.create(graph, sessionOptions(graph.byteLength));
    return new CpuBackend(checkpoint.config, options.sampling, decoder, video);
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    throw new RuntimeError("internal", {
      part: "cpu backend",
      problem: `onnxruntime refused the graph: ${messageOf(cause)}`,
      cause,
    });
  }
}

class CpuBackend implements NativeBackend {
  readonly kind = "cpu";
  readonly adapter = cpus()[0]?.model.trim() ?? "unknown processor";
  readonly #config: NativeConfig;
  readonly #sampling: Sampling;
  readonly #decoder: Decoder;
  readonly #videoSession: InferenceSession;
  /** The features of the block at hand; `#videoFeeds` is a view of it. */
  readonly #video: Int8Array;
  readonly #videoFeeds: Record<string, Tensor>;
  readonly #counts: TokenCounts = { told: 0, said: 0 };

  constructor(config: NativeConfig, sampling: Sampling, decoder: Decoder, videoSession: InferenceSession) {
    this.#config = config;
    this.#sampling = sampling;
    this.#decoder = decoder;
    this.#videoSession = videoSession;
    this.#video = new Int8Array(videoLength(config));
    const { height, width } = config.video;
    this.#videoFeeds = { video: new Tensor("int8", this.#video, [2, height, width, 3]) };
  }

  async step(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    for (const block of blocks) checkBlock(this.#config, block);
    let logits: Float32Array | null = null;
    for (const block of blocks) logits = await this.#takeIn(block);
    const last = blocks.at(-1);
    return last && logits ? this.#speak(last.turn, logits) : [];
  }

  async reset(): Promise<void> {
    this.#decoder.reset();
    this.#counts.told = 0;
    this.#counts.said = 0;
  }

  async close(): Promise<void> {
    await this.#decoder.close();
    await this.#videoSession.release();
  }

  /** Runs one input block. Returns the logits at its clock token. */
  async #takeIn(block: InputBlock): Promise<Float32Array> {
    const tokens = planInput(this.#config, this.#counts, block);
    const logits = await this.#decoder.run(tokens, {
      turn: block.turn,
      levels: block.pcm && dmelLevels(block.pcm),
      tiles: block.video && (await this.#see(block.video)),
    });
    this.#counts.told += block.told.length;
    return logits;
  }

  async #see(video: Int8Array): Promise<Float32Array> {
    this.#video.set(video);
    const { tokens } = await this.#videoSession.run(this.#videoFeeds);
    return tokens!.data as Float32Array;
  }

  /** The output block: each token from the logits before it, until `<next>` or the cap. Neither closing token is fed back. */
  async #speak(turn: number, firstLogits: Float32Array): Promise<number[]> {
    const { tokens: special, limits } = this.#config;
    const output: number[] = [];
    let logits = firstLogits;
    for (;;) {
      const index = output.length;
      const position = SLOTS_PER_TURN * turn + SAID_SLOT + index;
      const choice = chooseToken(logits, this.#sampling, position);
      // No logit is a number only if the network broke: silence is the safe answer.
      const id = choice < 0 ? special.next : choice;
      output.push(id);
      if (id === special.next || output.length === limits.outputTokensPerMicroTurn) return output;
      const token = planSaid(this.#config, this.#counts, turn, index, id);
      logits = await this.#decoder.run([token], null);
      this.#counts.said++;
    }
  }
}
