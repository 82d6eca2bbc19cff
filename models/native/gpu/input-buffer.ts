import {
  packRows,
  packTurn,
  ROW_BYTES,
  type Row,
  STEP_BYTES,
  TURN_BYTES,
  type Turn,
} from "../../../kernels/step.ts";
import { type BufferView, createBuffer, subview, writeBuffer } from "../../../src/gpu/buffers.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { type NativeConfig, pcmLength, videoLength } from "../config.ts";

/** Bindings begin on such boundaries. */
const ALIGNMENT = 256;

/** What the host tells the device about one run. */
export interface RunInput {
  rows: readonly Row[];
  turn: Turn;
  pcm: Float32Array | null;
  video: Int8Array | null;
}

/**
 * Everything that the host gives to a run, in one buffer that is written in one go: step, turn, rows, then sound and
 * picture, which are left out of the write when there are none.
 */
export class InputBuffer {
  readonly step: BufferView;
  readonly turn: BufferView;
  readonly rows: BufferView;
  readonly pcm: BufferView;
  readonly video: BufferView;
  readonly #gpu: Gpu;
  readonly #whole: BufferView;
  readonly #bytes: Uint8Array;

  constructor(gpu: Gpu, config: NativeConfig, maxRows: number) {
    const sizes = [
      STEP_BYTES,
      TURN_BYTES,
      maxRows * ROW_BYTES,
      pcmLength(config) * 4,
      Math.ceil(videoLength(config) / 16) * 16,
    ];
    const offsets: number[] = [];
    let end = 0;
    for (const size of sizes) {
      const start = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      offsets.push(start);
      end = start + size;
    }
    this.#gpu = gpu;
    this.#bytes = new Uint8Array(end);
    this.#whole = createBuffer(gpu, { label: "input", sizeBytes: end, role: "step" });
    const views = sizes.map((size, i) => subview(this.#whole, offsets[i]!, size));
    [this.step, this.turn, this.rows, this.pcm, this.video] = views as [
      BufferView,
      BufferView,
      BufferView,
      BufferView,
      BufferView,
    ];
  }

  write({ rows, turn, pcm, video }: RunInput): void {
    this.#place(this.step, Uint32Array.of(rows.length, 0, 0, 0));
    this.#place(this.turn, packTurn(turn));
    let end = this.#place(this.rows, packRows(rows));
    if (pcm) end = this.#place(this.pcm, pcm);
    if (video) end = this.#place(this.video, video);
    writeBuffer(this.#gpu, this.#whole, this.#bytes.subarray(0, Math.ceil(end / 4) * 4));
  }

  /** Returns where it ends. */
  #place(view: BufferView, data: Uint32Array | Float32Array | Int8Array): number {
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), view.offset);
    return view.offset + data.byteLength;
  }
}
