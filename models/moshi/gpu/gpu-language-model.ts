import type { CacheFormat } from "../../../kernels/kv-cache.ts";
import type { MatrixFormat } from "../../../kernels/matrix.ts";
import { NOT_FORCED } from "../../../kernels/sample-token/sample-token.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { Readback, type ReadbackTicket } from "../../../src/gpu/readback.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { MoshiConfig } from "../config.ts";
import type {
  Draws,
  FrameInput,
  FrameOutput,
  LanguageModel,
  LanguageModelOptions,
} from "../language-model.ts";
import { crossCondition, expectFrame, expectOptions, expectText } from "./frame-input.ts";
import { meanOpening } from "./gated-cross-attention.ts";
import { Network } from "./network.ts";

export interface GpuLanguageModelOptions extends LanguageModelOptions {
  /** How the layers' matrices are held; see `WeightFormats` for what stays finer. */
  format: MatrixFormat;
  /** The same for the depth transformer. Default: `format`. */
  depthFormat?: MatrixFormat;
  /** How keys and values of the temporal transformer are held. Default: f32 where `format` is, else f16. */
  cacheFormat?: CacheFormat;
  /**
   * Depth steps that any frame is to run, at most depQ, which is the default: weights of later ones are not loaded.
   * PersonaPlex speaks with 8 of its 16.
   */
  maxDepthSteps?: number;
}

/**
 * Brings a checkpoint's language model to the device. Everything is allocated and compiled before this settles, and one
 * frame has run and is forgotten again.
 *
 * @param gpu     Borrowed; it outlives the model.
 * @param tensors With the published names and fused layouts. Not needed any more once this has settled.
 * @throws RuntimeError "invalid-checkpoint" for a tensor that is missing, of another shape or not finite,
 *         "invalid-argument" for conditions that do not fit, "gpu-compile", "gpu-out-of-memory" or "gpu-device-lost".
 */
export async function createLanguageModel(
  gpu: Gpu,
  config: MoshiConfig,
  tensors: TensorFile,
  options: GpuLanguageModelOptions,
): Promise<GpuLanguageModel> {
  const maxDepthSteps = options.maxDepthSteps ?? config.depQ;
  expectOptions(config, { ...options, maxDepthSteps });
  const formats = { temporal: options.format, depth: options.depthFormat ?? options.format };
  const cacheFormat = options.cacheFormat ?? (options.format === "f32" ? "f32" : "f16");
  const cross = crossCondition(config, options);
  const network = await Network.create(gpu, config, tensors, {
    ...options,
    formats,
    cacheFormat,
    cross,
    maxDepthSteps,
  });
  const model = new GpuLanguageModel(gpu, config, network);
  try {
    await gpu.settle();
    // The first run compiles what a driver compiles late.
    const image = network.temporal.sight && new Float32Array(config.temporal.dim);
    await model.frame({ tokens: new Int32Array(1 + config.nQ), inspect: true, image });
    await model.reset();
    return model;
  } catch (error) {
    await model.close();
    throw error;
  }
}

/**
 * The language model on a GPU: one command buffer and one read-back per frame, or two where the text token goes through
 * the host. Nothing is allocated on the device per frame. While a read-back is pending the binding polls the event loop, so a
 * program runs this in a worker.
 */
export class GpuLanguageModel implements LanguageModel {
  /** Records frames onto a pass of the caller's, and holds what they draw. */
  readonly network: Network;
  readonly #gpu: Gpu;
  readonly #config: MoshiConfig;
  readonly #sampled: Readback;
  readonly #extra: Readback | null;
  readonly #openings: Readback | null;
  readonly #inspected: { text: Readback; out: Readback; depth: Readback | null };
  #position = 0;
  #isBusy = false;

  constructor(gpu: Gpu, config: MoshiConfig, network: Network) {
    this.#gpu = gpu;
    this.#config = config;
    this.network = network;
    const { temporal, depth } = network;
    this.#sampled = new Readback(gpu, network.sampled, 1);
    this.#extra = temporal.extraLogits && new Readback(gpu, temporal.extraLogits, 1);
    this.#openings = temporal.sight && new Readback(gpu, temporal.sight.openings, 1);
    this.#inspected = {
      text: new Readback(gpu, temporal.textLogits, 1),
      out: new Readback(gpu, temporal.out, 1),
      depth: depth && new Readback(gpu, depth.logits, 1),
    };
  }

  /**
   * One step.
   *
   * @param alongside Records what else is to run in the frame's last submission, after its depth steps: a codec that
   *   decodes `network.sampled`, say.
   * @throws RuntimeError "invalid-argument" or "shape-mismatch" for an input that does not fit, or a call before the last
   *   one has settled; "gpu-device-lost" after a loss; "internal" if the network gives no numbers.
   */
  async frame(input: FrameInput, alongside?: (encoder: GPUCommandEncoder) => void): Promise<FrameOutput> {
    const { maxDepthSteps, temporal } = this.network;
    const maxImageTokens = temporal.sight?.maxImageTokens ?? 0;
    expectFrame(this.#config, { maxDepthSteps, maxImageTokens }, input);
    if (this.#isBusy) {
      const problem = "frame was called before the call before it settled";
      throw new RuntimeError("invalid-argument", { part: "language model", problem });
    }
    this.#isBusy = true;
    try {
      return await this.#run(input, alongside);
    } finally {
      this.#isBusy = false;
    }
  }

  /**
   * From the next frame on tokens are drawn so: to be followed by a reset, so that a session is drawn in one way.
   * @throws RuntimeError "invalid-argument" for a temperature or a topK below 0.
   */
  drawAs(draws: Draws): void {
    this.network.drawAs(draws);
  }

  async reset(): Promise<void> {
    this.#position = 0;
    this.network.reset();
  }

  async close(): Promise<void> {
    this.network.destroy();
  }

  async #run(input: FrameInput, alongside?: (encoder: GPUCommandEncoder) => void): Promise<FrameOutput> {
    const { network } = this;
    const { depQ } = this.#config;
    const depthSteps = input.depthSteps ?? network.maxDepthSteps;
    this.#gpu.throwIfFailed();
    if (input.image !== undefined) network.see(input.image);
    const position = this.#position++;
    network.frame.write({
      position,
      cacheSlot: position % network.window,
      tokens: input.tokens,
      forced: forcedTokens(input, depQ),
      embedding: input.embedding ?? null,
    });
    const isSplit = typeof input.text === "function";
    if (typeof input.text === "function") {
      const first = this.#encoder(position);
      record(first, (pass) => network.recordTemporal(pass));
      const [text] = await this.#submit(first, 1);
      const handed = input.text(text!);
      expectText(this.#config, handed);
      network.frame.handText(handed);
    }
    const encoder = this.#encoder(position);
    record(encoder, (pass) => {
      if (!isSplit) network.recordTemporal(pass);
      network.recordDepth(pass, depthSteps);
    });
    alongside?.(encoder);
    const extra = this.#extra?.record(encoder);
    const openings = network.temporal.sight?.isSeeing ? this.#openings?.record(encoder) : null;
    const inspection = input.inspect ? this.#recordInspection(encoder) : null;
    const tokens = await this.#submit(encoder, 1 + depthSteps);
    return {
      text: tokens[0]!,
      audio: tokens.slice(1),
      ...(openings ? { gateOpening: await this.#gateOpening(openings) } : {}),
      extraHeads: extra ? this.#probabilities(new Float32Array(await extra.read())) : new Float32Array(),
      ...(inspection ? { inspected: await this.#inspect(inspection, depthSteps) } : {}),
    };
  }

  /** A buffer is as long as bindings want it: what is beyond the layers is no opening. */
  async #gateOpening(ticket: ReadbackTicket): Promise<number> {
    return meanOpening(new Float32Array(await ticket.read(), 0, this.#config.temporal.nLayers));
  }

  #encoder(position: number): GPUCommandEncoder {
    return this.#gpu.device.createCommandEncoder({ label: `frame ${position}` });
  }

  /** Submits what was recorded and waits for the first `count` tokens that were drawn. */
  async #submit(encoder: GPUCommandEncoder, count: number): Promise<Int32Array> {
    const ticket = this.#sampled.record(encoder);
    this.#gpu.device.queue.submit([encoder.finish()]);
    const tokens = new Int32Array(await ticket.read()).subarray(0, count);
    if (tokens.some((token) => token < 0)) {
      throw new RuntimeError("internal", {
        part: "language model",
        problem: "no logit is a number",
        remedy: "Use weights in f32, or fetch the checkpoint again",
      });
    }
    return tokens;
  }

  #recordInspection(encoder: GPUCommandEncoder): Inspection {
    const { text, out, depth } = this.#inspected;
    return { text: text.record(encoder), out: out.record(encoder), depth: depth?.record(encoder) ?? null };
  }

  async #inspect(tickets: Inspection, depthSteps: number): Promise<NonNullable<FrameOutput["inspected"]>> {
    const { card, textCardOut, temporal } = this.#config;
    const text = new Float32Array(await tickets.text.read());
    const out = new Float32Array(await tickets.out.read());
    const depth = tickets.depth ? new Float32Array(await tickets.depth.read()) : new Float32Array();
    const depthLogits = new Float32Array(depthSteps * card);
    const stride = depth.length / this.network.maxDepthSteps;
    for (let k = 0; k < depthSteps; k++)
      depthLogits.set(depth.subarray(k * stride, k * stride + card), k * card);
    return {
      textLogits: text.slice(0, textCardOut),
      transformerOut: out.slice(0, temporal.dim),
      depthLogits,
    };
  }

  /** The extra heads' softmax. Some dozen numbers: the host is quicker with them than another dispatch. */
  #probabilities(logits: Float32Array): Float32Array {
    const { count, classes } = this.#config.extraHeads;
    const out = new Float32Array(count * classes);
    for (let head = 0; head < count; head++) {
      const own = logits.subarray(head * classes, (head + 1) * classes);
      const peak = Math.max(...own);
      const weights = Array.from(own, (logit) => Math.exp(logit - peak));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      out.set(
        weights.map((weight) => weight / total),
        head * classes,
      );
    }
    return out;
  }
}

/** What was read back beside the tokens. */
interface Inspection {
  text: ReadbackTicket;
  out: ReadbackTicket;
  depth: ReadbackTicket | null;
}

function record(encoder: GPUCommandEncoder, dispatches: (pass: GPUComputePassEncoder) => void): void {
  const pass = encoder.beginComputePass();
  dispatches(pass);
  pass.end();
}

/** (1 + depQ) what is handed on in the place of what is drawn. */
function forcedTokens({ text, audio }: FrameInput, depQ: number): Int32Array {
  const forced = new Int32Array(1 + depQ).fill(NOT_FORCED);
  if (typeof text === "number") forced[0] = text;
  for (const [k, token] of audio?.entries() ?? []) if (token !== null) forced[1 + k] = token;
  return forced;
}
