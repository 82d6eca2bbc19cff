import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";

export interface FakeCameraOptions {
  /** Capture times, ms, ascending: one frame each. */
  captureMs: Iterable<number>;
  /** Default 4 x 3. */
  width?: number;
  height?: number;
  /** As a recording, read ahead of the clock; otherwise each frame comes when its time has come. Default true. */
  recorded?: boolean;
  /** Live only: how long after its capture a frame arrives, ms. Default 0. */
  latencyMs?: number;
}

/** A camera that needs no hardware: frame n is filled with n modulo 256. */
export class FakeCamera implements Source {
  readonly kind = "video";
  readonly name = "fake camera";
  readonly recorded: boolean;
  readonly #options: FakeCameraOptions;

  constructor(options: FakeCameraOptions) {
    this.#options = options;
    this.recorded = options.recorded ?? true;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const { captureMs: times, width = 4, height = 3, latencyMs = 0 } = this.#options;
    let number = 0;
    for (const captureMs of times) {
      if (!this.recorded) await clock.sleepUntil(captureMs + latencyMs, signal);
      if (signal.aborted) return;
      const rgb = new Uint8Array(width * height * 3).fill(number++ % 256);
      yield { kind: "frame", captureMs, width, height, rgb } satisfies Captured & VideoFrame;
    }
  }
}
