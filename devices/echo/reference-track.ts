import type { Speech } from "../../src/core/device.ts";
import { Resampler } from "../../src/signal/resampler.ts";
import { power } from "./power.ts";

/** The past that an echo may come from, and the future that a speaker may have been given already. */
const CAPACITY_MS = 4000;

/** What a speaker has really played, mono f32 at one rate, each sample at the session time at which it sounded. */
export class ReferenceTrack {
  readonly sampleRateHz: number;
  /** Sample n of the session at n modulo the length, if n is among the newest; #written is one past the newest. */
  readonly #ring: Float32Array;
  #written = 0;

  constructor(sampleRateHz: number) {
    this.sampleRateHz = sampleRateHz;
    this.#ring = new Float32Array(Math.ceil((CAPACITY_MS / 1000) * sampleRateHz));
  }

  /** `speech` sounds from session time `startMs` on; it is mixed with what sounds already. */
  play(speech: Speech, startMs: number): void {
    const samples = this.#atOwnRate(speech);
    const start = this.#sampleAt(startMs);
    this.#clearTo(start + samples.length);
    const oldest = this.#written - this.#ring.length;
    for (let i = Math.max(0, oldest - start); i < samples.length; i++) {
      this.#ring[this.#slot(start + i)]! += samples[i]!;
    }
  }

  /** Nothing sounds from session time `timeMs` on: the speaker was flushed. */
  silenceFrom(timeMs: number): void {
    const from = Math.max(this.#sampleAt(timeMs), this.#written - this.#ring.length);
    for (let n = from; n < this.#written; n++) this.#ring[this.#slot(n)] = 0;
  }

  /** What sounded in the `count` samples from session time `startMs` on; silence where nothing is known. */
  read(startMs: number, count: number): Float32Array {
    const samples = new Float32Array(count);
    for (const { at, known } of this.#stretches(startMs, count)) samples.set(known, at);
    return samples;
  }

  /** The mean square of what `read` would give, without a copy. */
  power(startMs: number, count: number): number {
    let sum = 0;
    for (const { known } of this.#stretches(startMs, count)) sum += power(known) * known.length;
    return sum / Math.max(1, count);
  }

  /** What is known of the `count` samples from session time `startMs` on: pieces of the ring, each at its place among them. */
  #stretches(startMs: number, count: number): { at: number; known: Float32Array }[] {
    const start = this.#sampleAt(startMs);
    const end = Math.min(start + count, this.#written);
    const pieces: { at: number; known: Float32Array }[] = [];
    for (let n = Math.max(start, this.#written - this.#ring.length); n < end; ) {
      const slot = this.#slot(n);
      const known = this.#ring.subarray(slot, slot + end - n);
      pieces.push({ at: n - start, known });
      n += known.length;
    }
    return pieces;
  }

  #atOwnRate(speech: Speech): Float32Array {
    if (speech.sampleRateHz === this.sampleRateHz) return speech.samples;
    const resampler = new Resampler(speech.sampleRateHz, this.sampleRateHz);
    const body = resampler.push(speech.samples);
    const tail = resampler.flush();
    const samples = new Float32Array(body.length + tail.length);
    samples.set(body);
    samples.set(tail, body.length);
    return samples;
  }

  #sampleAt(timeMs: number): number {
    return Math.round((timeMs / 1000) * this.sampleRateHz);
  }

  #slot(n: number): number {
    const length = this.#ring.length;
    return ((n % length) + length) % length;
  }

  /** Makes room up to sample `end`, with silence. */
  #clearTo(end: number): void {
    for (let n = Math.max(this.#written, end - this.#ring.length); n < end; n++)
      this.#ring[this.#slot(n)] = 0;
    this.#written = Math.max(this.#written, end);
  }
}
