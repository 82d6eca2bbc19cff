import { createCausalConv } from "../../../kernels/causal-conv/causal-conv.ts";
import { convWeights, foldedContext } from "../../../kernels/causal-conv/conv-weights.ts";
import { alignedContext, currentRows } from "../../../kernels/frame-rows.ts";
import type { Codebooks } from "../../../kernels/rvq/codebooks.ts";
import { createRvqSearch } from "../../../kernels/rvq/rvq.ts";
import { type BufferView, createBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, type DispatchTarget, record } from "../../../src/gpu/plan.ts";
import { FRAME_SAMPLES, type MimiConfig, positionsPerFrame, SAMPLES_A_ROW } from "./config.ts";
import { inputProjection } from "./quantizer.ts";
import { encoderLayers, SeanetBuilder } from "./seanet.ts";
import { StreamState } from "./stream-state.ts";
import type { MimiTensors } from "./tensors.ts";
import { buildTransformer } from "./transformer.ts";

/** Samples to codes on the device: all buffers, pipelines and bind groups, made once. It records frames. */
export class MimiEncoder {
  /** (nCodebooks) u32, of the last frame that was recorded. */
  readonly codes: BufferView;
  /** (dim) f32, before quantisation. For tests and measurements. */
  readonly latent: BufferView;
  readonly #state: StreamState;
  readonly #dispatches: readonly Dispatch[];
  readonly #positions: number;
  /** The last samples of the frames before, then this frame's. */
  readonly #samples: Float32Array;

  private constructor(parts: {
    codes: BufferView;
    latent: BufferView;
    state: StreamState;
    dispatches: readonly Dispatch[];
    positions: number;
    samples: Float32Array;
  }) {
    this.codes = parts.codes;
    this.latent = parts.latent;
    this.#state = parts.state;
    this.#dispatches = parts.dispatches;
    this.#positions = parts.positions;
    this.#samples = parts.samples;
  }

  static async create(
    gpu: Gpu,
    config: MimiConfig,
    tensors: MimiTensors,
    codebooks: Codebooks,
  ): Promise<MimiEncoder> {
    const positions = positionsPerFrame(config);
    const { dim, context } = config.transformer;
    const pcmContext = foldedContext(config.seanet.kernelSize, SAMPLES_A_ROW);
    const samples = new Float32Array(pcmContext * SAMPLES_A_ROW + FRAME_SAMPLES);
    const state = new StreamState(gpu, "mimi encoder", {
      positions,
      context,
      payloadBytes: samples.byteLength,
    });
    const pcm = {
      view: state.payload,
      channels: SAMPLES_A_ROW,
      context: pcmContext,
      rows: FRAME_SAMPLES / SAMPLES_A_ROW,
    };
    // The downsampler's left context is as long as its stride.
    const x = state.frameRows("mimi encoder x", {
      channels: dim,
      context: alignedContext(positions, dim),
      rows: positions,
    });
    const latent = state.frameRows("mimi latent", { channels: dim, context: 0, rows: 1 });
    const parts = state.frameRows("mimi latent parts", {
      channels: 2 * config.quantizer.dim,
      context: 0,
      rows: 1,
    });
    const codes = createBuffer(gpu, { label: "mimi codes", sizeBytes: codebooks.nCodebooks * 4 });
    const downsample = "downsample.conv.conv.conv";
    const taps = 2 * positions;
    const weight = await tensors.read(`${downsample}.weight`, [dim, dim, taps]);
    const dispatches = [
      ...(await new SeanetBuilder(gpu, tensors, state).build(encoderLayers(config), pcm, x)),
      ...(await buildTransformer(gpu, {
        prefix: "encoder_transformer",
        config,
        tensors,
        state,
        x: currentRows(x),
      })),
      await createCausalConv(gpu, {
        label: downsample,
        x,
        weights: convWeights(downsample, { outChannels: dim, inChannels: dim, taps, weight, bias: null }),
        stride: positions,
        out: latent,
        replicate: { start: state.frame },
      }),
      await createCausalConv(gpu, {
        label: "quantizer input_proj",
        x: latent,
        weights: await inputProjection(config, tensors),
        out: parts,
      }),
      ...(await createRvqSearch(gpu, { label: "rvq search", codebooks, latents: parts.view, codes })),
    ];
    return new MimiEncoder({ codes, latent: latent.view, state, dispatches, positions, samples });
  }

  get nDispatches(): number {
    return this.#dispatches.length;
  }

  /** Tells the device about the next frame and records it. One frame a submission, in order. @param pcm (1920), kept no longer. */
  record(pass: DispatchTarget, pcm: Float32Array): void {
    this.#samples.copyWithin(0, FRAME_SAMPLES);
    this.#samples.set(pcm, this.#samples.length - FRAME_SAMPLES);
    this.#state.write([this.#state.nFrames === 0 ? 1 : 0], this.#samples);
    record(pass, this.#dispatches, this.#positions);
  }

  /** The next frame is a first frame. */
  reset(): void {
    this.#samples.fill(0);
    this.#state.reset();
  }
}
