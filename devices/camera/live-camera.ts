import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { blocksOf } from "../media/bytes.ts";
import type { RunningProgram } from "../media/child.ts";
import { LiveSource } from "../media/live-source.ts";
import { type Orientation, oriented } from "./orientation.ts";

export interface LiveCameraOptions extends Orientation {
  /** "camera v4l2:/dev/video0" */
  name: string;
  /** Of the pictures that the program writes, before they are turned, pixels. */
  width: number;
  height: number;
  launch: (signal: AbortSignal) => RunningProgram | Promise<RunningProgram>;
  remedy: string;
  random?: () => number;
}

/**
 * A camera whose pictures a program writes, as rgb24 frames of one size. Each has one timestamp, the session time at which
 * it was there; a program that ends or falls silent is started again.
 */
export class LiveCamera implements Source {
  readonly kind = "video";
  readonly recorded = false;
  readonly name: string;
  readonly #options: LiveCameraOptions;
  readonly #live: LiveSource;

  constructor(options: LiveCameraOptions) {
    this.name = options.name;
    this.#options = options;
    this.#live = new LiveSource({ ...options, items: (output, clock) => this.#frames(output, clock) });
  }

  prepare(signal: AbortSignal): Promise<void> {
    return this.#live.prepare(signal);
  }

  open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    return this.#live.items(clock, signal);
  }

  async *#frames(output: AsyncIterable<Buffer>, clock: Clock): AsyncGenerator<Captured> {
    const { width, height } = this.#options;
    for await (const rgb of blocksOf(output, width * height * 3)) {
      const captureMs = clock.nowMs();
      // A picture from before session time is nobody's.
      if (captureMs === 0) continue;
      yield { kind: "frame", captureMs, ...oriented({ width, height, rgb }, this.#options) };
    }
  }
}
