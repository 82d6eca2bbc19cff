import type { AudioChunk } from "../core/micro-turn.ts";
import { Resampler } from "./resampler.ts";

/** Capture stamps jitter; a chunk that starts this close to where the last one ended carries on from it, ms. */
const JITTER_MS = 10;
/** What the track keeps for a loop that has fallen behind. Beyond it the oldest goes, and counts as a gap. */
const CAPACITY_MS = 30_000;

/**
 * The microphone's line on the timeline: sound at the model's rate, each sample where it was captured. Where sound is
 * missing there is silence, and it is counted; sound is never shifted to close a hole. A chunk that overlaps what is
 * there, or comes after its interval was handed over, loses that part.
 */
export class AudioTrack {
  readonly sampleRateHz: number;
  /** Silence that stands for missing sound. */
  readonly gaps = { count: 0, totalMs: 0 };
  /**
   * By how much the newest chunk's stamp is ahead of the samples counted so far, ms: the capture clock's drift, before
   * anything is done about it. It is bounded by the jitter tolerance: past that a gap or a cut sets it back to 0.
   */
  misalignmentMs = 0;

  /** Samples [#takenTo, #writtenTo) of the session, each at its number modulo the capacity. */
  readonly #ring: Float32Array;
  #takenTo = 0;
  #writtenTo = 0;
  /** Number of the session's sample at which the next one of the present stretch of sound belongs. */
  #cursor = 0;
  #resampler: Resampler | null = null;
  #captureRateHz = 0;
  /** Session time at which the next chunk is expected, ms. */
  #expectedMs = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(sampleRateHz: number) {
    this.sampleRateHz = sampleRateHz;
    this.#ring = new Float32Array(Math.ceil((CAPACITY_MS / 1000) * sampleRateHz));
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
    this.#append(this.#resampler?.push(chunk.samples) ?? chunk.samples);
    // Counted from where the stretch began, so that rounded stamps do not add up.
    this.#expectedMs += (chunk.samples.length / chunk.sampleRateHz) * 1000;
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
    this.#countGap(Math.min(count, from - this.#takenTo) + missingAfter);
    this.#takenTo = end;
    this.#writtenTo = Math.max(this.#writtenTo, end);
    return out;
  }

  #beginStretch(captureMs: number, captureRateHz: number): void {
    if (this.#resampler) this.#append(this.#resampler.flush());
    this.#cursor = Math.round((captureMs / 1000) * this.sampleRateHz);
    this.#expectedMs = captureMs;
    this.#captureRateHz = captureRateHz;
    this.#resampler =
      captureRateHz === this.sampleRateHz ? null : new Resampler(captureRateHz, this.sampleRateHz);
  }

  /** Puts samples at the cursor: after silence if there is a hole, without those whose place is taken. */
  #append(samples: Float32Array): void {
    if (samples.length === 0) return;
    const hole = this.#cursor - this.#writtenTo;
    if (hole > 0) {
      this.#countGap(hole);
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

  #countGap(samples: number): void {
    if (samples <= 0) return;
    this.gaps.count++;
    this.gaps.totalMs += (samples / this.sampleRateHz) * 1000;
  }
}
