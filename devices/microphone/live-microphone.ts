import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { CaptureClock } from "../media/capture-clock.ts";
import type { RunningProgram } from "../media/child.ts";
import { LiveSource } from "../media/live-source.ts";
import { monoOf } from "../media/pcm.ts";

export interface LiveMicrophoneOptions {
  /** "microphone pulse:default" */
  name: string;
  /** Of what the program writes: 16-bit little-endian PCM, channels interleaved. */
  sampleRateHz: number;
  channels: number;
  /** Time that sound takes from the microphone to us beyond what a chunk takes to fill, ms. */
  latencyMs: number;
  launch: (signal: AbortSignal) => RunningProgram;
  remedy: string;
  random?: () => number;
}

/**
 * A microphone that a program listens to. Each chunk is stamped with the session time at which its first sample was
 * captured; a program that ends or falls silent is started again, and the time between is a gap. Channels are mixed to
 * mono by their mean; the timeline brings the rate to the model's.
 */
export class LiveMicrophone implements Source {
  readonly kind = "audio";
  readonly recorded = false;
  readonly name: string;
  readonly #options: LiveMicrophoneOptions;
  readonly #live: LiveSource;

  constructor(options: LiveMicrophoneOptions) {
    this.name = options.name;
    this.#options = options;
    this.#live = new LiveSource({
      ...options,
      items: (output, clock) => this.#captured(output, clock),
    });
  }

  prepare(signal: AbortSignal): Promise<void> {
    return this.#live.prepare(signal);
  }

  open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    return this.#live.items(clock, signal);
  }

  async *#captured(output: AsyncIterable<Buffer>, clock: Clock): AsyncGenerator<Captured> {
    const { sampleRateHz, channels, latencyMs } = this.#options;
    const timing = new CaptureClock(sampleRateHz);
    for await (const samples of monoOf(output, channels)) {
      const nowMs = clock.nowMs();
      // What was captured before session time began is nobody's.
      if (nowMs === 0) continue;
      const captureMs = timing.stamp(nowMs - latencyMs, samples.length);
      yield { kind: "audio", captureMs, sampleRateHz, samples };
    }
  }
}
