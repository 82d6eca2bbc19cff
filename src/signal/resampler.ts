import { RuntimeError } from "../core/errors.ts";
import { CROSSINGS, kaiser, sinc } from "./windowed-sinc.ts";

/** Where the pass band ends, as a share of the lower rate's Nyquist frequency. */
const PASS_BAND = 0.92;

/**
 * Brings a stream of sound from one rate to another by a polyphase FIR filter (windowed sinc, linear phase, no delay:
 * output sample n stands exactly at input time n / toHz). Streaming equals batch: how the input is cut changes nothing.
 */
export class Resampler {
  readonly #up: number;
  readonly #down: number;
  /** (up, taps) f32: row p weighs the input around an output that falls p/up of a sample after an input sample. */
  readonly #phases: Float32Array;
  readonly #taps: number;
  readonly #half: number;
  /** Input not used up; its first sample is number #firstInput of the stream. */
  #input: Float32Array = new Float32Array(0);
  #firstInput: number;
  #nextOutput = 0;
  #received = 0;

  /** @throws RuntimeError "invalid-argument" unless both rates are whole and positive. */
  constructor(fromHz: number, toHz: number) {
    for (const rateHz of [fromHz, toHz]) {
      if (!Number.isInteger(rateHz) || rateHz <= 0) {
        throw new RuntimeError("invalid-argument", {
          part: "resampler",
          problem: `a sample rate of ${rateHz} Hz, expected a whole positive number`,
        });
      }
    }
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.#up = toHz / divisor;
    this.#down = fromHz / divisor;
    // Going down in rate the filter is stretched, so that it cuts at the new Nyquist frequency.
    const stretch = Math.max(1, fromHz / toHz);
    this.#half = Math.ceil(CROSSINGS * stretch);
    this.#taps = 2 * this.#half;
    this.#phases = phaseTable(this.#up, this.#taps, stretch);
    this.#firstInput = 1 - this.#half;
    this.#input = new Float32Array(this.#half - 1);
  }

  /** @returns the output samples that are now known, in a fresh array; the newest wait for the input after them. */
  push(samples: Float32Array): Float32Array {
    const input = new Float32Array(this.#input.length + samples.length);
    input.set(this.#input);
    input.set(samples, this.#input.length);
    this.#received += samples.length;
    const output = this.#filter(input);
    // What the next output still looks back on stays.
    const keepFrom = Math.floor((this.#nextOutput * this.#down) / this.#up) - this.#half + 1;
    const used = Math.min(input.length, Math.max(0, keepFrom - this.#firstInput));
    this.#input = input.slice(used);
    this.#firstInput += used;
    return output;
  }

  /** Ends the stream: the samples still owed, so that n inputs have given ceil(n · toHz / fromHz) outputs. */
  flush(): Float32Array {
    const owed = Math.ceil((this.#received * this.#up) / this.#down) - this.#nextOutput;
    return this.push(new Float32Array(this.#half + 1)).slice(0, Math.max(0, owed));
  }

  #filter(input: Float32Array): Float32Array {
    const endInput = this.#firstInput + input.length;
    // Output n needs the inputs up to floor(n · down / up) + half.
    const endOutput = Math.ceil(((endInput - this.#half) * this.#up) / this.#down);
    const output = new Float32Array(Math.max(0, endOutput - this.#nextOutput));
    for (let i = 0; i < output.length; i++) {
      const position = (this.#nextOutput + i) * this.#down;
      const phase = (position % this.#up) * this.#taps;
      const first = Math.floor(position / this.#up) - this.#half + 1 - this.#firstInput;
      let sum = 0;
      for (let tap = 0; tap < this.#taps; tap++) sum += this.#phases[phase + tap]! * input[first + tap]!;
      output[i] = sum;
    }
    this.#nextOutput += output.length;
    return output;
  }
}

/** Row p, tap j weighs the input sample that stands j - taps/2 + 1 - p/up samples from the output. */
function phaseTable(up: number, taps: number, stretch: number): Float32Array {
  const half = taps / 2;
  const table = new Float32Array(up * taps);
  for (let phase = 0; phase < up; phase++) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const offset = tap - half + 1 - phase / up;
      const weight = sinc((offset * PASS_BAND) / stretch) * kaiser(offset / half);
      table[phase * taps + tap] = weight;
      sum += weight;
    }
    // Every phase passes a constant unchanged.
    for (let tap = 0; tap < taps; tap++) table[phase * taps + tap]! /= sum;
  }
  return table;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
