import { CROSSINGS, kaiser, sinc } from "./windowed-sinc.ts";

/** Where the pass band ends when the rate goes down, as a share of the lower rate's Nyquist frequency. */
const PASS_BAND = 0.92;
/** Filter positions between two input samples; between them the filter is interpolated, with an error near -90 dB. */
const PHASES = 256;

/**
 * Brings a stream of sound from one rate to another at a speed that may change from call to call, as it must to follow
 * a clock that drifts. The place in the input runs on without a jump, so that a change of speed makes no click.
 *
 * Between equal rates a stream at speed 1 passes unchanged and without delay; otherwise the newest outputs wait for the
 * 24 samples (at the lower rate) after them.
 */
export class DriftResampler {
  readonly #fromHz: number;
  readonly #toHz: number;
  readonly #half: number;
  /** (PHASES + 1, 2 half) f32: row r weighs the input around an output that stands r / PHASES after an input sample. */
  readonly #table: Float32Array;
  /** The newest input, which starts with the half - 1 samples before those that are still to be passed. */
  #input: Float32Array;
  /** Where the next output stands, in samples of #input. */
  #position: number;

  /** Rates in Hz, both positive. */
  constructor(fromHz: number, toHz: number) {
    this.#fromHz = fromHz;
    this.#toHz = toHz;
    const stretch = Math.max(1, fromHz / toHz);
    this.#half = Math.ceil(CROSSINGS * stretch);
    // Between equal rates nothing is cut off, so that a place on an input sample is that sample.
    this.#table = filterTable(this.#half, fromHz === toHz ? 1 : PASS_BAND / stretch);
    this.#input = new Float32Array(this.#half - 1);
    this.#position = this.#half - 1;
  }

  /** How much output what has been taken in still gives, in output samples: with it the stream is complete. */
  get owed(): number {
    return ((this.#input.length - this.#position) * this.#toHz) / this.#fromHz;
  }

  /**
   * @param speed outputs for each input over the nominal toHz / fromHz: 1.0002 makes the sound 200 ppm longer.
   * @returns the output that is now known, in a fresh array.
   */
  push(samples: Float32Array, speed: number): Float32Array {
    const input = new Float32Array(this.#input.length + samples.length);
    input.set(this.#input);
    input.set(samples, this.#input.length);
    const step = this.#fromHz / this.#toHz / speed;
    const output = new Float32Array(Math.ceil((input.length - this.#position) / step) + 1);
    let count = 0;
    for (; this.#isKnown(input); this.#position += step) output[count++] = this.#at(input);
    const used = Math.max(0, Math.min(input.length, Math.floor(this.#position) - this.#half + 1));
    this.#input = input.slice(used);
    this.#position -= used;
    return output.slice(0, count);
  }

  /** Ends the stream: the output still owed. */
  flush(): Float32Array {
    const owed = Math.max(0, Math.ceil(this.owed));
    return this.push(new Float32Array(this.#half + 1), 1).slice(0, owed);
  }

  #isKnown(input: Float32Array): boolean {
    const base = Math.floor(this.#position);
    return this.#isCopy(base) ? base < input.length : base + this.#half < input.length;
  }

  #isCopy(base: number): boolean {
    return this.#position === base && this.#fromHz === this.#toHz;
  }

  #at(input: Float32Array): number {
    const base = Math.floor(this.#position);
    if (this.#isCopy(base)) return input[base]!;
    const phase = (this.#position - base) * PHASES;
    const row = Math.floor(phase);
    const share = phase - row;
    const taps = 2 * this.#half;
    const first = base - this.#half + 1;
    const table = this.#table;
    let [lower, upper] = [0, 0];
    for (let tap = 0, at = row * taps; tap < taps; tap++, at++) {
      const sample = input[first + tap]!;
      lower += table[at]! * sample;
      upper += table[at + taps]! * sample;
    }
    return lower + share * (upper - lower);
  }
}

function filterTable(half: number, passBand: number): Float32Array {
  const taps = 2 * half;
  const table = new Float32Array((PHASES + 1) * taps);
  for (let row = 0; row <= PHASES; row++) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const offset = tap - half + 1 - row / PHASES;
      const weight = sinc(offset * passBand) * kaiser(offset / half);
      table[row * taps + tap] = weight;
      sum += weight;
    }
    // Every row passes a constant unchanged.
    for (let tap = 0; tap < taps; tap++) table[row * taps + tap]! /= sum;
  }
  return table;
}
