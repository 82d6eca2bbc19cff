import { setTimeout as delay } from "node:timers/promises";
import sharp from "sharp";
import type { VideoFrame } from "../../src/core/micro-turn.ts";

/** Larger pictures are made smaller: a screen shows them beside other things. */
const MAX_SIDE = 640;
const QUALITY = 70;

export interface PictureOptions {
  /** Pictures are at least this far apart, ms. */
  intervalMs: number;
  /** Takes each picture and owns it. */
  encoded: (jpeg: Buffer) => void;
  /** Told once; from then on nothing is encoded. */
  failed: (fault: unknown) => void;
}

/** Makes JPEGs of a stream of frames at a bounded rate, one at a time, newest first: frames that come faster are lost. */
export class PictureEncoder {
  readonly #options: PictureOptions;
  #waiting: VideoFrame | null = null;
  #busy = false;
  #broken = false;

  constructor(options: PictureOptions) {
    this.#options = options;
  }

  /** Offers a frame, which is borrowed. Returns at once; the work is done on another thread. */
  offer(frame: VideoFrame): void {
    if (this.#broken) return;
    this.#waiting = { ...frame, rgb: frame.rgb.slice() };
    if (this.#busy) return;
    this.#busy = true;
    this.#work().catch((fault: unknown) => {
      this.#broken = true;
      this.#options.failed(fault);
    });
  }

  async #work(): Promise<void> {
    for (let frame = this.#take(); frame !== null; frame = this.#take()) {
      this.#options.encoded(await jpegOf(frame));
      await delay(this.#options.intervalMs, undefined, { ref: false });
    }
    this.#busy = false;
  }

  #take(): VideoFrame | null {
    const frame = this.#waiting;
    this.#waiting = null;
    return frame;
  }
}

function jpegOf({ rgb, width, height }: VideoFrame): Promise<Buffer> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize({ width: MAX_SIDE, height: MAX_SIDE, fit: "inside", withoutEnlargement: true })
    .jpeg({ quality: QUALITY })
    .toBuffer();
}
