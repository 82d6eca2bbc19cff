import type { Speech } from "../../src/core/device.ts";
import { DriftResampler } from "../../src/signal/drift-resampler.ts";

/** Sound that is converted at a time, ms: a long phrase must not hold up the session, and its speed may change. */
const PIECE_MS = 40;

/**
 * One phrase at the speaker's rate, converted as it is taken, at a speed that follows the speaker's clock. A piece of a
 * stream leaves its last samples, which wait for those after them, to the piece that carries on from it.
 */
export class PhraseSound {
  readonly #samples: Float32Array;
  readonly #fromHz: number;
  readonly #toHz: number;
  readonly #isStream: boolean;
  readonly #resampler: DriftResampler;
  readonly #piece: number;
  #used = 0;
  /** True when the last samples have been converted, or are another piece's to convert. */
  #flushed = false;
  #isCarriedOn = false;
  #ready = new Float32Array(0);

  /**
   * @param speech kept until it has been taken.
   * @param before taken right before this one; carried on if both are of one stream and it has not ended yet.
   */
  constructor({ samples, sampleRateHz, isStream = false }: Speech, toHz: number, before?: PhraseSound) {
    this.#samples = samples;
    this.#fromHz = sampleRateHz;
    this.#toHz = toHz;
    this.#isStream = isStream;
    const carriedOn = isStream && before ? before.#handOver(sampleRateHz) : null;
    this.#resampler = carriedOn ?? new DriftResampler(sampleRateHz, toHz);
    this.#piece = Math.ceil((PIECE_MS / 1000) * sampleRateHz);
  }

  /** True when all has been taken. */
  get isOver(): boolean {
    return this.#flushed && this.#ready.length === 0;
  }

  /** How much of the speech has been taken, ms of its own. */
  get takenMs(): number {
    const waiting = (this.#ready.length + (this.#flushed ? 0 : this.#resampler.owed)) / this.#toHz;
    return (this.#used / this.#fromHz - waiting) * 1000;
  }

  /**
   * The next `count` samples, fewer at the end.
   * @param speed samples for each that the nominal rate would give; it counts for sound that is not converted yet.
   */
  take(count: number, speed: number): Float32Array {
    while (this.#ready.length < count && !this.#flushed) this.#append(this.#next(speed));
    const taken = this.#ready.slice(0, count);
    this.#ready = this.#ready.slice(count);
    return taken;
  }

  /** The resampler for what follows in the same stream; null if this has ended, or cannot go on. */
  #handOver(sampleRateHz: number): DriftResampler | null {
    if (!this.#isStream || this.#flushed || this.#fromHz !== sampleRateHz) return null;
    this.#isCarriedOn = true;
    return this.#resampler;
  }

  #next(speed: number): Float32Array {
    const piece = this.#samples.subarray(this.#used, this.#used + this.#piece);
    this.#used += piece.length;
    if (piece.length > 0) return this.#resampler.push(piece, speed);
    this.#flushed = true;
    return this.#isCarriedOn ? new Float32Array(0) : this.#resampler.flush();
  }

  #append(samples: Float32Array): void {
    const ready = new Float32Array(this.#ready.length + samples.length);
    ready.set(this.#ready);
    ready.set(samples, this.#ready.length);
    this.#ready = ready;
  }
}
