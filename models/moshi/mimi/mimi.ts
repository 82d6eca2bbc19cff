import { expectLength, RuntimeError } from "../../../src/core/errors.ts";
import type { BufferView } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { DispatchTarget } from "../../../src/gpu/plan.ts";
import { Readback } from "../../../src/gpu/readback.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { Codec } from "../codec.ts";
import { FRAME_SAMPLES, type MimiConfig } from "./config.ts";
import { MimiDecoder, type RecordedDecode } from "./decoder.ts";
import { MimiEncoder } from "./encoder.ts";
import { loadCodebooks } from "./quantizer.ts";
import { MimiTensors } from "./tensors.ts";

export interface MimiOptions {
  /** Codebooks to use, at most those of the quantiser. Default: the configuration's. */
  nCodebooks?: number;
}

/** The codec on a device, and what is only known of it there. */
export interface Mimi extends Codec {
  /** Dispatches of a frame in each direction. */
  readonly nDispatches: { encode: number; decode: number };
  /** (dim) f32 on the device: the last frame's latent before quantisation. For tests and measurements. */
  readonly latent: BufferView;
  /**
   * Prepares decoding of codes that the device itself writes, so that tokens need not come to the host first. It is one
   * stream with `decode`.
   *
   * @param codes u32 or i32, one frame's codes from element `first` on, the semantic one first. A code outside its codebook
   *   adds nothing.
   * @param range `count` codes, at most nCodebooks.
   */
  decodeFrom(codes: BufferView, range: { first: number; count: number }): Promise<RecordedDecode>;
}

/**
 * Builds the codec on a device: every buffer made, every pipeline compiled, one frame run and forgotten again. A call of
 * `encode` or `decode` is one write, one submission and one read-back; the two directions share nothing, and up to three
 * calls of each may be under way. The buffers live as long as the device.
 *
 * @param tensors The released file, or one of its names and the configuration's shapes. Not kept.
 * @throws RuntimeError "invalid-argument" for a number of codebooks that the quantiser does not have, "invalid-checkpoint"
 *   for a tensor that is missing or has another shape, "gpu-compile", "gpu-out-of-memory" or "gpu-device-lost".
 */
export async function createMimi(
  gpu: Gpu,
  config: MimiConfig,
  tensors: TensorFile,
  options: MimiOptions = {},
): Promise<Mimi> {
  const { nCodebooks = config.nCodebooksUsed } = options;
  expectCount("nCodebooks", nCodebooks, config.quantizer.nCodebooks);
  const named = new MimiTensors(tensors);
  const codebooks = await loadCodebooks(gpu, config, named, nCodebooks);
  const encoder = await MimiEncoder.create(gpu, config, named, codebooks);
  const decoder = await MimiDecoder.create(gpu, config, named, codebooks);
  const mimi = new GpuMimi(gpu, config, nCodebooks, encoder, decoder);
  await gpu.settle();
  // The first run compiles what a driver compiles late.
  await mimi.decode(await mimi.encode(new Float32Array(FRAME_SAMPLES)));
  await mimi.reset();
  return mimi;
}

/** Calls of one direction that may be under way. */
const MAX_UNDER_WAY = 3;

/** One direction's frames that are under way. */
interface Lane {
  label: string;
  readback: Readback;
  underWay: number;
}

class GpuMimi implements Mimi {
  readonly nCodebooks: number;
  readonly #gpu: Gpu;
  readonly #bins: number;
  readonly #encoder: MimiEncoder;
  readonly #decoder: MimiDecoder;
  readonly #encodes: Lane;
  readonly #decodes: Lane;
  #closed = false;

  constructor(gpu: Gpu, config: MimiConfig, nCodebooks: number, encoder: MimiEncoder, decoder: MimiDecoder) {
    this.nCodebooks = nCodebooks;
    this.#gpu = gpu;
    this.#bins = config.quantizer.bins;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#encodes = {
      label: "mimi encode",
      readback: new Readback(gpu, encoder.codes, MAX_UNDER_WAY),
      underWay: 0,
    };
    this.#decodes = {
      label: "mimi decode",
      readback: new Readback(gpu, decoder.pcm, MAX_UNDER_WAY),
      underWay: 0,
    };
  }

  get nDispatches(): { encode: number; decode: number } {
    return { encode: this.#encoder.nDispatches, decode: this.#decoder.nDispatches };
  }

  get latent(): BufferView {
    return this.#encoder.latent;
  }

  async encode(pcm: Float32Array): Promise<Int32Array> {
    expectLength("mimi", "pcm", pcm.length, FRAME_SAMPLES);
    // It would stay in the keys and values, and from there reach every later frame.
    if (!pcm.every(Number.isFinite)) throw invalid("pcm holds a sample that is not a finite number");
    const bytes = await this.#run(this.#encodes, (pass) => this.#encoder.record(pass, pcm));
    return new Int32Array(bytes, 0, this.nCodebooks);
  }

  async decode(codes: Int32Array): Promise<Float32Array> {
    expectCount("the number of codes", codes.length, this.nCodebooks);
    for (const code of codes) {
      if (code < 0 || code >= this.#bins) throw invalid(`code ${code} is outside [0, ${this.#bins})`);
    }
    const bytes = await this.#run(this.#decodes, (pass) => this.#decoder.record(pass, codes));
    return new Float32Array(bytes, 0, FRAME_SAMPLES);
  }

  async decodeFrom(codes: BufferView, range: { first: number; count: number }): Promise<RecordedDecode> {
    expectCount("the number of codes", range.count, this.nCodebooks);
    const end = range.first + range.count;
    if (!(range.first >= 0 && end * 4 <= codes.sizeBytes)) {
      throw invalid(`codes ${range.first} to ${end - 1} lie outside a buffer of ${codes.sizeBytes / 4}`);
    }
    return this.#decoder.decodeFrom(codes, range);
  }

  async reset(): Promise<void> {
    this.#throwIfUnusable();
    this.#encoder.reset();
    this.#decoder.reset();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #run(lane: Lane, recordFrame: (pass: DispatchTarget) => void): Promise<ArrayBuffer> {
    this.#throwIfUnusable();
    const { label, readback } = lane;
    // Before anything is recorded: the stream goes on where it stands.
    if (lane.underWay === MAX_UNDER_WAY) {
      throw new RuntimeError("queue-full", {
        part: label,
        problem: `${MAX_UNDER_WAY} frames are under way`,
        remedy: "Wait for one of them before giving the next",
      });
    }
    const encoder = this.#gpu.device.createCommandEncoder({ label });
    const pass = encoder.beginComputePass({ label });
    recordFrame(pass);
    pass.end();
    const ticket = readback.record(encoder);
    this.#gpu.device.queue.submit([encoder.finish()]);
    lane.underWay++;
    try {
      return await ticket.read();
    } finally {
      lane.underWay--;
    }
  }

  #throwIfUnusable(): void {
    this.#gpu.throwIfFailed();
    if (this.#closed) throw invalid("was used after it was closed");
  }
}

function expectCount(name: string, count: number, max: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= max) return;
  throw invalid(`${name} is ${count}, expected 1 to ${max}`);
}

function invalid(problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", { part: "mimi", problem });
}
