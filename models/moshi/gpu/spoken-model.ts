import { type BufferView, createBuffer, writeBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { Readback, type ReadbackTicket } from "../../../src/gpu/readback.ts";
import type { FrameInput, FrameOutput, LanguageModel } from "../language-model.ts";
import { FRAME_SAMPLES } from "../mimi/config.ts";
import type { RecordedDecode } from "../mimi/decoder.ts";
import type { Mimi } from "../mimi/mimi.ts";
import type { GpuLanguageModel } from "./gpu-language-model.ts";

/**
 * A language model and its voice: the frame that a step completes is decoded in the very submission that samples it. Codes
 * that an earlier step sampled come from the host, those of this step stay on the device.
 */
export class SpokenModel implements LanguageModel {
  readonly #gpu: Gpu;
  readonly #model: GpuLanguageModel;
  readonly #mimi: Mimi;
  /** (nCodebooks) i32: what is decoded. */
  readonly #codes: BufferView;
  readonly #voice: RecordedDecode;
  readonly #pcm: Readback;
  #sound: Float32Array | null = null;

  private constructor(
    gpu: Gpu,
    parts: { model: GpuLanguageModel; mimi: Mimi; codes: BufferView; voice: RecordedDecode },
  ) {
    this.#gpu = gpu;
    this.#model = parts.model;
    this.#mimi = parts.mimi;
    this.#codes = parts.codes;
    this.#voice = parts.voice;
    this.#pcm = new Readback(gpu, parts.voice.pcm, 1);
  }

  /**
   * @param nCodebooks Codes of a frame, those after its text token, that are the model's own voice.
   * @throws RuntimeError "invalid-argument" for more than the codec has.
   */
  static async create(
    gpu: Gpu,
    model: GpuLanguageModel,
    mimi: Mimi,
    nCodebooks: number,
  ): Promise<SpokenModel> {
    const codes = createBuffer(gpu, { label: "spoken codes", sizeBytes: nCodebooks * 4 });
    const voice = await mimi.decodeFrom(codes, { first: 0, count: nCodebooks });
    await gpu.settle();
    return new SpokenModel(gpu, { model, mimi, codes, voice });
  }

  /** As the language model's. What the step completes waits for `decode`; what nobody asked for is forgotten. */
  async frame(input: FrameInput): Promise<FrameOutput> {
    this.#sound = null;
    const { completes } = input;
    if (!completes) return this.#model.frame(input);
    writeBuffer(
      this.#gpu,
      this.#codes,
      Int32Array.from(completes, (code) => code ?? 0),
    );
    let ticket: ReadbackTicket | null = null;
    const output = await this.#model.frame(input, (encoder) => {
      this.#takeSampled(encoder, completes);
      const pass = encoder.beginComputePass({ label: "voice" });
      this.#voice.record(pass);
      pass.end();
      ticket = this.#pcm.record(encoder);
    });
    this.#sound = new Float32Array(await ticket!.read(), 0, FRAME_SAMPLES);
    return output;
  }

  /** The sound of the frame that the last step completed: (1920) f32. `codes` are decoded by themselves where it completed none. */
  async decode(codes: Int32Array): Promise<Float32Array> {
    const sound = this.#sound;
    this.#sound = null;
    return sound ?? this.#mimi.decode(codes);
  }

  async reset(): Promise<void> {
    this.#sound = null;
    await this.#model.reset();
  }

  async close(): Promise<void> {
    await this.#model.close();
  }

  /** Copies what this step samples to its place, neighbours together. */
  #takeSampled(encoder: GPUCommandEncoder, completes: readonly (number | null)[]): void {
    const { sampled } = this.#model.network;
    for (let first = 0; first < completes.length; first++) {
      if (completes[first] !== null) continue;
      let end = first;
      while (end < completes.length && completes[end] === null) end++;
      // The text token comes first among what is sampled.
      const from = sampled.offset + 4 * (1 + first);
      encoder.copyBufferToBuffer(
        sampled.buffer,
        from,
        this.#codes.buffer,
        this.#codes.offset + 4 * first,
        4 * (end - first),
      );
      first = end;
    }
  }
}
