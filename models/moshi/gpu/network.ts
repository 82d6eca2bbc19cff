import type { CacheFormat } from "../../../kernels/kv-cache.ts";
import { type BufferView, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type DispatchTarget, record } from "../../../src/gpu/plan.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { MoshiConfig } from "../config.ts";
import type { Draws, LanguageModelOptions } from "../language-model.ts";
import type { CrossCondition } from "./cross-attention.ts";
import { Depth } from "./depth.ts";
import { FrameBuffers } from "./frame-buffers.ts";
import { Temporal } from "./temporal.ts";
import { WeightLoader } from "./weight-loader.ts";
import { loadDepth, loadTemporal, type WeightFormats } from "./weights.ts";

/** Of an image of the released encoder: 32 by 32 patches. */
const IMAGE_TOKENS = 1024;

export interface NetworkOptions extends LanguageModelOptions {
  formats: WeightFormats;
  /** What keys and values of the temporal transformer are held in. */
  cacheFormat: CacheFormat;
  /** What every layer attends to; null where there is no cross-attention, or nothing to attend to. */
  cross: CrossCondition | null;
  /** The most depth steps that a frame may run, 0 to depQ. */
  maxDepthSteps: number;
}

/**
 * The network on the device: all buffers, pipelines and bind groups, made once. It records frames; whoever holds it
 * submits them. With guidance two sequences, the conditioned and the other, run as two rows over the same weights.
 */
export class Network {
  readonly frame: FrameBuffers;
  readonly temporal: Temporal;
  /** Null where no audio is generated. */
  readonly depth: Depth | null;
  /** Rows of activations, each with a memory of its own. */
  readonly sequences: number;
  /** Keys that a step sees, itself included. */
  readonly window: number;
  readonly #buffers: readonly GPUBuffer[];

  private constructor(parts: {
    frame: FrameBuffers;
    temporal: Temporal;
    depth: Depth | null;
    sequences: number;
    window: number;
    buffers: readonly GPUBuffer[];
  }) {
    this.frame = parts.frame;
    this.temporal = parts.temporal;
    this.depth = parts.depth;
    this.sequences = parts.sequences;
    this.window = parts.window;
    this.#buffers = [
      ...parts.buffers,
      ...parts.frame.buffers,
      ...parts.temporal.buffers,
      ...(parts.depth?.buffers ?? []),
    ];
  }

  /**
   * Brings the weights to the device and prepares all dispatches. What was brought is freed if that fails.
   *
   * @throws RuntimeError "invalid-checkpoint" for a tensor that is missing or of another shape, "gpu-compile",
   *         "gpu-out-of-memory" or "gpu-device-lost", naming the part.
   */
  static async create(
    gpu: Gpu,
    config: MoshiConfig,
    tensors: TensorFile,
    options: NetworkOptions,
  ): Promise<Network> {
    const loader = new WeightLoader(gpu, tensors);
    try {
      return await Network.#build(gpu, config, loader, options);
    } catch (error) {
      for (const buffer of loader.buffers) buffer.destroy();
      throw error;
    }
  }

  static async #build(
    gpu: Gpu,
    config: MoshiConfig,
    loader: WeightLoader,
    options: NetworkOptions,
  ): Promise<Network> {
    const { formats, cacheFormat, cross, guidance, maxDepthSteps: nSteps } = options;
    const sequences = guidance ? 2 : 1;
    const window = options.window ?? config.context;
    const steps = {
      perSequence: uploadBuffer(gpu, { label: "step", role: "step" }, Uint32Array.of(sequences, 0, 0, 0)),
      one: uploadBuffer(gpu, { label: "step", role: "step" }, Uint32Array.of(1, 0, 0, 0)),
    };
    const sums = [options.conditions, ...(guidance ? [guidance.conditions] : [])].map(
      (conditions) => conditions?.sum ?? null,
    );
    const frame = new FrameBuffers(gpu, config, sums);
    const weights = await loadTemporal(loader, config, formats.temporal);
    const shared = { config, options, sequences, frame, steps };
    const maxImageTokens = options.maxImageTokens ?? IMAGE_TOKENS;
    const heard = { ...shared, weights, loader, window };
    const temporal = await Temporal.create(gpu, { ...heard, cacheFormat, cross, maxImageTokens });
    const depth =
      config.depth && nSteps > 0
        ? await Depth.create(gpu, {
            ...shared,
            depth: config.depth,
            nSteps,
            weights: await loadDepth(loader, config, config.depth, { nSteps, format: formats.depth }),
            temporalOut: temporal.out,
          })
        : null;
    await gpu.settle();
    return new Network({ frame, temporal, depth, sequences, window, buffers: loader.buffers });
  }

  /** The most depth steps that a frame may run. */
  get maxDepthSteps(): number {
    return this.depth?.steps.length ?? 0;
  }

  /** Dispatches of the next frame with so many depth steps. */
  countDispatches(depthSteps: number): { temporal: number; depth: number } {
    const steps = this.depth?.steps.slice(0, depthSteps) ?? [];
    return { temporal: this.temporal.dispatches.length, depth: steps.flat().length };
  }

  /** (1 + depQ) i32, the text token and the audio tokens that the newest frame drew: for what runs after it on the device. */
  get sampled(): BufferView {
    return this.frame.sampled;
  }

  /** From the next frame on sees this image's tokens, or none. @param image (length, dim). Borrowed. */
  see(image: Float32Array | null): void {
    this.temporal.sight?.see(image);
  }

  /** Records the temporal transformer over the frame that `frame.write` was given, and the draw of its text token. */
  recordTemporal(pass: DispatchTarget): void {
    record(pass, this.temporal.dispatches, this.sequences);
  }

  /** Records the first `count` depth steps, each with the draw of its token. */
  recordDepth(pass: DispatchTarget, count: number): void {
    for (const step of this.depth?.steps.slice(0, count) ?? []) record(pass, step, this.sequences);
  }

  /** From the next frame on tokens are drawn so. Allocates nothing. */
  drawAs(draws: Draws): void {
    this.temporal.drawAs(draws);
    this.depth?.drawAs(draws);
  }

  /** The next frame is a first frame. */
  reset(): void {
    this.temporal.reset();
  }

  /** Gives the device's memory back. What was submitted still runs. */
  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
