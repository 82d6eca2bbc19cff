import type { AudioChunk } from "../core/micro-turn.ts";
import { DriftResampler } from "../signal/drift-resampler.ts";
import { Resampler } from "../signal/resampler.ts";

/** Capture stamps jitter; a chunk that starts this close to where the last one ended carries on from it, ms. */
const JITTER_MS = 10;
/** What the track keeps for a loop that has fallen behind. Beyond it the oldest goes, and counts as a gap. */
const CAPACITY_MS = 30_000;
/**
 * A live capture clock is followed so that an offset is made up for in about this time, ms. At 200 ppm the sound then
 * stands 0.4 ms off, and an offset of the jitter tolerance changes its speed by 0.5 %.
 */
const FOLLOW_MS = 2000;
/** Smaller offsets are left alone, ms: stamps that are exact let the sound pass unchanged. */
const FOLLOW_FROM_MS = 0.01;

/**
 * The microphone's line on the timeline: sound at the model's rate, each sample where it was captured. Where sound is
 * missing there is silence, and it is counted; sound is never shifted to close a hole. A chunk that overlaps what is
 * there, or comes after its interval was handed over, loses that part.
 *
 * The sound of a live microphone, whose clock is not the session's, is resampled by as much as its stamps and its samples
 * drift apart.
 */
export class AudioTrack {
  readonly sampleRateHz: number;
  /** Silence that stands for missing sound. */
  readonly gaps = { count: 0, totalMs: 0 };
  /**
   * By how much the newest chunk's stamp is ahead of the place that the samples before it lead to, ms. It is bounded by
   * the jitter tolerance: past that a gap or a cut sets it back to 0.
   */
  misalignmentMs = 0;

  /** Samples [#takenTo, #writtenTo) of the session, each at its number modulo the capacity. */
  readonly #ring: Float32Array;
  #takenTo = 0;
  #writtenTo = 0;
  /** Number of the session's sample at which the next one of the present stretch of sound belongs. */
  #cursor = 0;
  /** Where the last gap that was counted ended, in samples of the session: silence that goes on is one gap. */
  #gapEnd = -1;
  readonly #follows: boolean;
  #resampler: Resampler | DriftResampler | null = null;
  #captureRateHz = 0;
  /** Session time at which the next chunk is expected, ms. */
  #expectedMs = Number.NEGATIVE_INFINITY;
  #ended = false;

  /** @param options.live the capture clock is a device's own: its drift is followed. Default false, for recordings. */
  constructor(sampleRateHz: number, options: { live?: boolean } = {}) {
    this.sampleRateHz = sampleRateHz;
    this.#follows = options.live ?? false;
    this.#ring = new Float32Array(Math.ceil((CAPACITY_MS / 1000) * sampleRateHz));
  }

  /** By how much a live capture clock is taken to be slower than the session's, as a share: 200 ppm is 0.0002. */
  get drift(): number {
    return this.#resampler instanceof DriftResampler ? this.misalignmentMs / FOLLOW_MS : 0;
  }

  /** Session time up to which sound is known, ms. */
  get writtenToMs(): number {
    return (this.#writtenTo / this.sampleRateHz) * 1000;
  }

  write(chunk: AudioChunk): void {
    const offMs = chunk.captureMs - this.#expectedMs;
    const carriesOn = Math.abs(offMs) <= JITTER_MS && chunk.sampleRateHz === this.#captureRateHz;
    if (!carriesOn) this.#beginStretch(chunk.captureMs, chunk.sampleRateHz);
    this.misalignmentMs = carriesOn ? offMs : 0;
    this.#append(this.#resampled(chunk.samples));
    // Counted from where the stretch began, so that rounded stamps do not add up.
    this.#expectedMs =
      this.#resampler instanceof DriftResampler
        ? ((this.#cursor + this.#resampler.owed) / this.sampleRateHz) * 1000
        : this.#expectedMs + (chunk.samples.length / chunk.sampleRateHz) * 1000;
  }

  /** No more sound will come: the silence from here on is no gap. */
  end(): void {
    if (this.#resampler) this.#append(this.#resampler.flush());
    this.#resampler = null;
    this.#ended = true;
  }

  /** Hands over the session's next `count` samples, in a fresh array. */
  take(count: number): Float32Array {
    const out = new Float32Array(count);
    const end = this.#takenTo + count;
    const from = Math.max(this.#takenTo, this.#writtenTo - this.#ring.length);
    const to = Math.min(end, this.#writtenTo);
    for (let at = from; at < to; at++) out[at - this.#takenTo] = this.#ring[at % this.#ring.length]!;
    const missingAfter = this.#ended ? 0 : end - Math.max(to, this.#takenTo);
    this.#countGap(this.#takenTo, Math.min(count, from - this.#takenTo));
    this.#countGap(end - missingAfter, missingAfter);
    this.#takenTo = end;
    this.#writtenTo = Math.max(this.#writtenTo, end);
    return out;
  }

  #beginStretch(captureMs: number, captureRateHz: number): void {
    if (this.#resampler) this.#append(this.#resampler.flush());
    this.#cursor = Math.round((captureMs / 1000) * this.sampleRateHz);
    this.#expectedMs = captureMs;
    this.#captureRateHz = captureRateHz;
    if (this.#follows) this.#resampler = new DriftResampler(captureRateHz, this.sampleRateHz);
    else if (captureRateHz === this.sampleRateHz) this.#resampler = null;
    else this.#resampler = new Resampler(captureRateHz, this.sampleRateHz);
  }

  #resampled(samples: Float32Array): Float32Array {
    if (!(this.#resampler instanceof DriftResampler)) return this.#resampler?.push(samples) ?? samples;
    const offMs = Math.abs(this.misalignmentMs) < FOLLOW_FROM_MS ? 0 : this.misalignmentMs;
    return this.#resampler.push(samples, 1 + offMs / FOLLOW_MS);
  }

  /** Puts samples at the cursor: after silence if there is a hole, without those whose place is taken. */
  #append(samples: Float32Array): void {
    if (samples.length === 0) return;
    const hole = this.#cursor - this.#writtenTo;
    if (hole > 0) {
      this.#countGap(this.#writtenTo, hole);
      for (let i = Math.max(0, hole - this.#ring.length); i < hole; i++) {
        this.#ring[(this.#writtenTo + i) % this.#ring.length] = 0;
      }
      this.#writtenTo = this.#cursor;
    }
    for (let i = Math.max(0, this.#writtenTo - this.#cursor); i < samples.length; i++) {
      this.#ring[(this.#cursor + i) % this.#ring.length] = samples[i]!;
    }
    this.#cursor += samples.length;
    this.#writtenTo = Math.max(this.#writtenTo, this.#cursor);
  }

  #countGap(from: number, samples: number): void {
    if (samples <= 0) return;
    if (from !== this.#gapEnd) this.gaps.count++;
    this.#gapEnd = from + samples;
    this.gaps.totalMs += (samples / this.sampleRateHz) * 1000;
  }
}
