import { createCausalConv } from "../../../kernels/causal-conv/causal-conv.ts";
import { alignedContext, currentRows, type FrameRows } from "../../../kernels/frame-rows.ts";
import type { Codebooks } from "../../../kernels/rvq/codebooks.ts";
import { createRvqSum } from "../../../kernels/rvq/rvq.ts";
import { type BufferView, uploadBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type Dispatch, type DispatchTarget, record } from "../../../src/gpu/plan.ts";
import { FRAME_SAMPLES, type MimiConfig, positionsPerFrame, SAMPLES_A_ROW } from "./config.ts";
import { outputProjection } from "./quantizer.ts";
import { decoderLayers, layerContext, SeanetBuilder } from "./seanet.ts";
import { StreamState } from "./stream-state.ts";
import type { MimiTensors } from "./tensors.ts";
import { buildTransformer } from "./transformer.ts";

/** Codes to samples on the device: all buffers, pipelines and bind groups, made once. It records frames. */
export class MimiDecoder {
  /** (1920) f32, of the last frame that was recorded. */
  readonly pcm: BufferView;
  readonly #gpu: Gpu;
  readonly #codebooks: Codebooks;
  readonly #sums: FrameRows;
  readonly #state: StreamState;
  readonly #positions: number;
  /** From the host's codes to the sums of centroids. */
  readonly #sumOfHostCodes: Dispatch;
  /** From there to the samples. */
  readonly #decode: readonly Dispatch[];

  private constructor(parts: {
    gpu: Gpu;
    codebooks: Codebooks;
    pcm: BufferView;
    sums: FrameRows;
    state: StreamState;
    positions: number;
    sumOfHostCodes: Dispatch;
    decode: readonly Dispatch[];
  }) {
    this.pcm = parts.pcm;
    this.#gpu = parts.gpu;
    this.#codebooks = parts.codebooks;
    this.#sums = parts.sums;
    this.#state = parts.state;
    this.#positions = parts.positions;
    this.#sumOfHostCodes = parts.sumOfHostCodes;
    this.#decode = parts.decode;
  }

  static async create(
    gpu: Gpu,
    config: MimiConfig,
    tensors: MimiTensors,
    codebooks: Codebooks,
  ): Promise<MimiDecoder> {
    const positions = positionsPerFrame(config);
    const { dim, context } = config.transformer;
    const payloadBytes = codebooks.nCodebooks * 4;
    const state = new StreamState(gpu, "mimi decoder", { positions, context, payloadBytes });
    const sums = state.frameRows("mimi sums", { channels: 2 * config.quantizer.dim, context: 1, rows: 1 });
    const layers = decoderLayers(config);
    const x = state.frameRows("mimi decoder x", {
      channels: dim,
      context: alignedContext(layerContext(layers[0]!), dim),
      rows: positions,
    });
    const pcm = state.frameRows("mimi pcm", {
      channels: SAMPLES_A_ROW,
      context: 0,
      rows: FRAME_SAMPLES / SAMPLES_A_ROW,
    });
    const sumOfHostCodes = await createRvqSum(gpu, {
      label: "rvq sum",
      codebooks,
      codes: state.payload,
      frame: state.frame,
      out: sums,
    });
    const decode = [
      await createCausalConv(gpu, {
        label: "quantizer output_proj",
        x: sums,
        weights: await outputProjection(config, tensors),
        out: x,
      }),
      ...(await buildTransformer(gpu, {
        prefix: "decoder_transformer",
        config,
        tensors,
        state,
        x: currentRows(x),
      })),
      ...(await new SeanetBuilder(gpu, tensors, state).build(layers, x, pcm)),
    ];
    return new MimiDecoder({
      ...{ gpu, codebooks, pcm: pcm.view, sums, state, positions },
      ...{ sumOfHostCodes, decode },
    });
  }

  get nDispatches(): number {
    return 1 + this.#decode.length;
  }

  /** Tells the device about the next frame and records it. One frame a submission, in order. */
  record(pass: DispatchTarget, codes: Int32Array): void {
    this.#state.write([codes.length, 0], codes);
    this.#record(pass, this.#sumOfHostCodes);
  }

  /** Prepares what takes its codes from the device: see `Mimi.decodeFrom`. */
  async decodeFrom(codes: BufferView, range: { first: number; count: number }): Promise<RecordedDecode> {
    const words = Uint32Array.of(range.count, range.first, 0, 0);
    const sum = await createRvqSum(this.#gpu, {
      label: "rvq sum of the device's codes",
      codebooks: this.#codebooks,
      codes,
      frame: uploadBuffer(this.#gpu, { label: "device codes", role: "uniform" }, words),
      out: this.#sums,
    });
    const recordFrame = (pass: DispatchTarget) => {
      this.#state.write([], null);
      this.#record(pass, sum);
    };
    return { pcm: this.pcm, record: recordFrame };
  }

  /** The next frame is a first frame. */
  reset(): void {
    this.#state.reset();
  }

  #record(pass: DispatchTarget, sum: Dispatch): void {
    record(pass, [sum], this.#positions);
    record(pass, this.#decode, this.#positions);
  }
}

/** Decoding of codes that are on the device already. */
export interface RecordedDecode {
  /** (1920) f32: what the frame that was recorded last comes to, once it has run. */
  readonly pcm: BufferView;
  /**
   * Records the next frame of the decoder's stream. Host and device go through their frames together, so a submission holds
   * at most one, and submissions run in the order of these calls.
   */
  record(pass: DispatchTarget): void;
}
