import { packRows, ROW_BYTES } from "../../../kernels/step.ts";
import { type BufferView, createBuffer, subview, writeBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import type { MoshiConfig } from "../config.ts";
import { ZERO_TOKEN } from "../language-model.ts";

/** Bindings begin on such boundaries. */
const ALIGNMENT = 256;

/** What the host tells the device about one frame. */
export interface FrameData {
  /** Frames since the start of the session. */
  position: number;
  /** Where the frame's keys and values go. */
  cacheSlot: number;
  /** (1 + nQ). */
  tokens: Int32Array;
  /** (1 + depQ) what is handed on in the place of what is sampled, NOT_FORCED where nothing is. */
  forced: Int32Array;
  /** (dim) what stands in the place of the sum of the tokens' embeddings; null for that sum. */
  embedding: Float32Array | null;
}

/**
 * Everything that the host gives to a frame, in one buffer that is written in one go; and what the device draws, which
 * never leaves it but to be read.
 */
export class FrameBuffers {
  /** (sequences) rows, see kernels/step.ts: the same position and slot, each its own index. */
  readonly rows: BufferView;
  /** (1 + nQ) i32. */
  readonly tokens: BufferView;
  /** (1 + depQ) i32. */
  readonly forced: BufferView;
  /** (sequences, dim) f32: the sum condition of each sequence, and what stands in the place of embeddings. */
  readonly base: BufferView;
  /** (1 + depQ) i32: text, then audio, as they were drawn. */
  readonly sampled: BufferView;
  /** (1 + depQ) i32: what each depth step reads of the one before. */
  readonly handed: BufferView;
  readonly #gpu: Gpu;
  readonly #input: BufferView;
  readonly #bytes: Uint8Array;
  /** (sequences, dim). */
  readonly #conditions: Float32Array;
  /** Whether `base` on the device holds the conditions alone. */
  #baseIsPlain = false;

  /** @param conditions By sequence: (dim) added to every step, or null. */
  constructor(gpu: Gpu, config: MoshiConfig, conditions: readonly (Float32Array | null)[]) {
    const { nQ, depQ, temporal } = config;
    const sequences = conditions.length;
    const sizes = [
      sequences * ROW_BYTES,
      (1 + nQ) * 4,
      (1 + depQ) * 4,
      sequences * temporal.dim * 4,
    ] as const;
    const offsets: number[] = [];
    let end = 0;
    for (const size of sizes) {
      offsets.push(end);
      end = Math.ceil((end + size) / ALIGNMENT) * ALIGNMENT;
    }
    const view = (i: 0 | 1 | 2 | 3) => subview(this.#input, offsets[i]!, sizes[i]);
    this.#gpu = gpu;
    this.#bytes = new Uint8Array(end);
    this.#input = createBuffer(gpu, { label: "frame input", sizeBytes: end });
    this.rows = view(0);
    this.tokens = view(1);
    this.forced = view(2);
    this.base = view(3);
    this.sampled = createBuffer(gpu, { label: "sampled tokens", sizeBytes: sizes[2] });
    this.handed = createBuffer(gpu, { label: "handed tokens", sizeBytes: sizes[2] });
    this.#conditions = new Float32Array(sequences * temporal.dim);
    for (const [s, sum] of conditions.entries()) if (sum) this.#conditions.set(sum, s * temporal.dim);
  }

  get buffers(): readonly GPUBuffer[] {
    return [this.#input, this.sampled, this.handed].map(({ buffer }) => buffer);
  }

  write({ position, cacheSlot, tokens, forced, embedding }: FrameData): void {
    const sequences = this.rows.sizeBytes / ROW_BYTES;
    const rows = Array.from({ length: sequences }, (_, index) => ({ position, cacheSlot, kind: 0, index }));
    this.#place(this.rows, packRows(rows));
    this.#place(this.tokens, embedding ? new Int32Array(tokens.length).fill(ZERO_TOKEN) : tokens);
    this.#place(this.forced, forced);
    let end = this.forced.offset + this.forced.sizeBytes;
    if (embedding || !this.#baseIsPlain) {
      const dim = this.#conditions.length / sequences;
      const base = embedding
        ? this.#conditions.map((value, i) => value + embedding[i % dim]!)
        : this.#conditions;
      this.#place(this.base, base);
      end = this.base.offset + this.base.sizeBytes;
      this.#baseIsPlain = embedding === null;
    }
    writeBuffer(this.#gpu, this.#input, this.#bytes.subarray(0, end));
  }

  /** Hands `token` to the depth steps in the place of the text token that has been drawn. */
  handText(token: number): void {
    writeBuffer(this.#gpu, this.handed, Int32Array.of(token));
  }

  #place(view: BufferView, data: Uint32Array | Int32Array | Float32Array): void {
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), view.offset);
  }
}
