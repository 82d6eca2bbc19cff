import { microphoneFrom, speakerFrom } from "../../../devices/devices.ts";
import { devicesSchema } from "../../../src/config/devices.ts";
import type { RealClock } from "../../../src/core/clock.ts";
import type { Captured } from "../../../src/core/device.ts";
import type { AudioChunk, InputEvent } from "../../../src/core/micro-turn.ts";

export const RATE_HZ = 16_000;
export const usual = devicesSchema.parse({});
export const PATIENCE = { timeout: 60_000, interval: 50 };

/** A microphone at work: what it gave so far. */
export class Listener {
  readonly chunks: AudioChunk[] = [];
  readonly events: InputEvent[] = [];

  static async open(spec: string, clock: RealClock, signal: AbortSignal, settings = usual.microphone) {
    const listener = new Listener();
    const microphone = microphoneFrom(spec, RATE_HZ, settings)!;
    await microphone.prepare!(signal);
    void listener.#draw(microphone.open(clock, signal));
    return listener;
  }

  async #draw(items: AsyncIterable<Captured>): Promise<void> {
    for await (const item of items) {
      if (item.kind === "audio") this.chunks.push(item);
      if (item.kind === "event") this.events.push(item.event);
    }
  }

  /** Periods of the tone that were heard from `fromMs` on, and the median of them, ms. */
  periods(fromMs = 0): { count: number; medianMs: number } {
    const periods = this.#periods(fromMs).sort((a, b) => a - b);
    return { count: periods.length, medianMs: periods[Math.floor(periods.length / 2)] ?? Number.NaN };
  }

  /** How many periods of `ms` were heard from `fromMs` on, however torn the sound is between them. */
  periodsOf(ms: number, fromMs = 0): number {
    return this.#periods(fromMs).filter((period) => Math.abs(period - ms) < 0.02).length;
  }

  #periods(fromMs: number): number[] {
    const periods: number[] = [];
    let [before, crossedMs] = [0, Number.NEGATIVE_INFINITY];
    for (const { captureMs, sampleRateHz, samples } of this.chunks) {
      samples.forEach((sample, i) => {
        const ms = captureMs + (i / sampleRateHz) * 1000;
        if (before < 0 && sample >= 0 && ms >= fromMs) {
          const atMs = ms - (1000 / sampleRateHz) * (sample / (sample - before));
          // A longer one is a pause.
          if (atMs - crossedMs < 10) periods.push(atMs - crossedMs);
          crossedMs = atMs;
        }
        before = sample;
      });
    }
    return periods;
  }

  states(): string[] {
    return this.events.flatMap((event) => (event.kind === "device" ? [event.state] : []));
  }
}

export const tone = (ms: number, hz: number) => ({
  sampleRateHz: 22_050,
  samples: Float32Array.from(
    { length: 22.05 * ms },
    (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 22_050),
  ),
});

export async function openSpeaker(spec: string, clock: RealClock, signal: AbortSignal) {
  const speaker = speakerFrom(spec, clock, usual.speaker);
  const states: string[] = [];
  await speaker.states!.prepare!(signal);
  void (async () => {
    for await (const item of speaker.states!.open(clock, signal)) {
      if (item.kind === "event" && item.event.kind === "device") states.push(item.event.state);
    }
  })();
  return { speaker, states };
}
