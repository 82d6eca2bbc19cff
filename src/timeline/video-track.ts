import type { VideoFrame } from "../core/micro-turn.ts";

/** Intervals whose frames are kept for a loop that has fallen behind; beyond it the oldest frame goes. */
const CAPACITY_INTERVALS = 16;

/**
 * The camera's line on the timeline. Each interval is cut into equal parts, and each part keeps the newest frame
 * captured in it: an older frame of the same part is passed over, as the model asked for no more. A frame that comes
 * after its interval was handed over, or that the backlog cannot hold, is dropped and counted.
 */
export class VideoTrack {
  dropped = 0;
  readonly #partMs: number;
  readonly #capacity: number;
  /** Newest frame by part number, in order of time. */
  readonly #frames = new Map<number, VideoFrame>();
  #takenToPart = 0;

  /** @param partMs length of the part that gives one frame, ms. */
  constructor(partMs: number, partsPerInterval: number) {
    this.#partMs = partMs;
    this.#capacity = CAPACITY_INTERVALS * partsPerInterval;
  }

  write(frame: VideoFrame): void {
    // A stamp that means the boundary but falls short of it by a rounding is set on it.
    const part = Math.floor(frame.captureMs / this.#partMs + 1e-9);
    const captureMs = Math.max(frame.captureMs, part * this.#partMs);
    if (part < this.#takenToPart) {
      this.dropped++;
      return;
    }
    this.#frames.set(part, { ...frame, captureMs });
    if (this.#frames.size > this.#capacity) {
      this.#frames.delete(this.#frames.keys().next().value!);
      this.dropped++;
    }
  }

  /** The frames of the next `parts` parts, oldest first. */
  take(parts: number): VideoFrame[] {
    const end = this.#takenToPart + parts;
    const taken: VideoFrame[] = [];
    for (const [part, frame] of this.#frames) {
      if (part >= end) break;
      taken.push(frame);
      this.#frames.delete(part);
    }
    this.#takenToPart = end;
    return taken;
  }
}
