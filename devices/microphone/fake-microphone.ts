import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import type { AudioChunk } from "../../src/core/micro-turn.ts";

export interface FakeMicrophoneOptions {
  chunks: Iterable<AudioChunk>;
  /** As a recording, read ahead of the clock; otherwise a chunk comes when its last sample was taken. Default true. */
  recorded?: boolean;
  /** Live only: how long after its last sample the nth chunk arrives, ms. Default at once. */
  latencyMs?: (n: number) => number;
}

/** A microphone that needs no hardware: gives the chunks that it is given. */
export class FakeMicrophone implements Source {
  readonly kind = "audio";
  readonly name = "fake microphone";
  readonly recorded: boolean;
  readonly #options: FakeMicrophoneOptions;

  constructor(options: FakeMicrophoneOptions) {
    this.#options = options;
    this.recorded = options.recorded ?? true;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const { chunks, latencyMs = () => 0 } = this.#options;
    let n = 0;
    for (const chunk of chunks) {
      const lastMs = chunk.captureMs + (chunk.samples.length / chunk.sampleRateHz) * 1000;
      if (!this.recorded) await clock.sleepUntil(lastMs + latencyMs(n++), signal);
      if (signal.aborted) return;
      yield { kind: "audio", ...chunk };
    }
  }
}

/** A recording of `samples` cut into chunks of `chunkMs`, from session time 0. */
export function* chunked(
  samples: Float32Array,
  sampleRateHz: number,
  chunkMs: number,
): Generator<AudioChunk> {
  const chunkSamples = Math.round((chunkMs / 1000) * sampleRateHz);
  for (let at = 0; at < samples.length; at += chunkSamples) {
    const captureMs = (at / sampleRateHz) * 1000;
    yield { captureMs, sampleRateHz, samples: samples.subarray(at, at + chunkSamples) };
  }
}
