import type { Speech } from "../../src/core/device.ts";
import { Resampler } from "../../src/signal/resampler.ts";

/** Sound that is converted at a time, samples of the voice: a long phrase must not hold up the session. */
const PIECE = 1024;

/** One phrase at the speaker's rate, converted as it is taken. */
export class PhraseSound {
  /** Samples at the speaker's rate, in all. */
  readonly length: number;
  readonly #samples: Float32Array;
  readonly #resampler: Resampler | null;
  #used = 0;
  #flushed = false;
  #ready = new Float32Array(0);

  /** @param speech kept until it has been taken. */
  constructor({ samples, sampleRateHz }: Speech, toHz: number) {
    this.#samples = samples;
    this.#resampler = sampleRateHz === toHz ? null : new Resampler(sampleRateHz, toHz);
    this.length = Math.ceil((samples.length * toHz) / sampleRateHz);
  }

  /** The next `count` samples, fewer at the end. */
  take(count: number): Float32Array {
    while (this.#ready.length < count && !this.#flushed) this.#append(this.#next());
    const taken = this.#ready.slice(0, count);
    this.#ready = this.#ready.slice(count);
    return taken;
  }

  #next(): Float32Array {
    const piece = this.#samples.subarray(this.#used, this.#used + PIECE);
    this.#used += piece.length;
    if (piece.length > 0) return this.#resampler?.push(piece) ?? piece;
    this.#flushed = true;
    return this.#resampler?.flush() ?? piece;
  }

  #append(samples: Float32Array): void {
    const ready = new Float32Array(this.#ready.length + samples.length);
    ready.set(this.#ready);
    ready.set(samples, this.#ready.length);
    this.#ready = ready;
  }
}
