import type { SoundDecoder, SoundEncoder } from "./sound.ts";

/** Samples that one read gives: 20 ms. */
const CHUNK_SAMPLES = 480;
const FULL_SCALE = 32_768;

/** Raw samples, signed 16 bit, little endian. A sample may be split over two messages. */
export class PcmDecoder implements SoundDecoder {
  readonly faults = {};
  #bytes: Buffer = Buffer.alloc(0);
  #pushed: Uint8Array[] = [];

  push(payload: Uint8Array): void {
    this.#pushed.push(payload);
  }

  read(): Promise<Float32Array | null> {
    if (this.#bytes.length < 2 * CHUNK_SAMPLES && this.#pushed.length > 0) {
      this.#bytes = Buffer.concat([this.#bytes, ...this.#pushed]);
      this.#pushed = [];
    }
    const nSamples = Math.min(CHUNK_SAMPLES, this.#bytes.length >> 1);
    if (nSamples === 0) return Promise.resolve(null);
    const bytes = this.#bytes;
    this.#bytes = bytes.subarray(2 * nSamples);
    return Promise.resolve(
      Float32Array.from({ length: nSamples }, (_, k) => bytes.readInt16LE(2 * k) / FULL_SCALE),
    );
  }

  close(): void {}
}

/** The same the other way; what goes beyond full scale is clipped, what is not a number is silence. */
export class PcmEncoder implements SoundEncoder {
  encode(pcm: Float32Array): Buffer {
    const bytes = Buffer.alloc(2 * pcm.length);
    for (const [k, sample] of pcm.entries()) {
      const level = Math.round(sample * FULL_SCALE) || 0;
      bytes.writeInt16LE(Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, level)), 2 * k);
    }
    return bytes;
  }

  close(): void {}
}
