import { RuntimeError } from "../../src/core/errors.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";
import type { NativeConfig } from "./config.ts";

/** The background moves by 1/32 of the difference a frame and is kept in 1/256 of a level. */
const BACKGROUND_SHIFT = 5;
const FRACTION_BITS = 8;

/**
 * Makes the network's video features from frames, one state a session: README "Video features", all in integers.
 */
export class VideoFeatures {
  readonly #width: number;
  readonly #height: number;
  readonly #luma: Uint8Array;
  readonly #previous: Uint8Array;
  readonly #background: Int32Array;
  #isFirst = true;

  constructor({ video }: NativeConfig) {
    this.#width = video.width;
    this.#height = video.height;
    const size = video.width * video.height;
    this.#luma = new Uint8Array(size);
    this.#previous = new Uint8Array(size);
    this.#background = new Int32Array(size);
  }

  /**
   * The features of one micro-turn. Of each half of the interval the newest frame is taken; a half without one borrows
   * the other's features.
   *
   * @param frames Oldest first, any sizes. Borrowed.
   * @returns (2, height, width, 3) i8, newly allocated; null without a frame.
   * @throws RuntimeError "shape-mismatch" for a frame whose bytes do not match its size.
   */
  take(frames: readonly VideoFrame[], startMs: number, durationMs: number): Int8Array | null {
    const middleMs = startMs + durationMs / 2;
    const early = frames.findLast((frame) => frame.captureMs < middleMs);
    const late = frames.findLast((frame) => frame.captureMs >= middleMs);
    if (!early && !late) return null;
    const half = this.#width * this.#height * 3;
    const pair = new Int8Array(2 * half);
    if (early) this.#add(early, pair.subarray(0, half));
    if (late) this.#add(late, pair.subarray(half));
    if (!early) pair.copyWithin(0, half);
    if (!late) pair.copyWithin(half, 0, half);
    return pair;
  }

  reset(): void {
    this.#isFirst = true;
  }

  /** Updates the state by one frame and writes its features, (height, width, 3). */
  #add(frame: VideoFrame, out: Int8Array): void {
    lumaOfFrame(frame, this.#width, this.#height, this.#luma);
    const luma = this.#luma;
    if (this.#isFirst) {
      this.#previous.set(luma);
      for (let i = 0; i < luma.length; i++) this.#background[i] = luma[i]! << FRACTION_BITS;
      this.#isFirst = false;
    }
    let total = 0;
    for (const y of luma) total += y;
    const mean = Math.floor(total / luma.length);
    for (let i = 0; i < luma.length; i++) {
      const y = luma[i]!;
      const background = this.#background[i]!;
      out[3 * i] = clamp((y - mean) >> 1);
      out[3 * i + 1] = clamp(2 * (y - this.#previous[i]!));
      out[3 * i + 2] = clamp(y - (background >> FRACTION_BITS));
      this.#background[i] = background + (((y << FRACTION_BITS) - background) >> BACKGROUND_SHIFT);
    }
    this.#previous.set(luma);
  }
}

/**
 * The frame in grey, cropped and brought to (height, width): its luma, and so its features, are those of `frame`. Where
 * the network's own picture would be cropped again, being wider than 4:3 or narrower than 3:4, it is `frame` itself.
 */
export function reducedFrame(frame: VideoFrame, width: number, height: number): VideoFrame {
  if (4 * height < 3 * width || 4 * width < 3 * height) return frame;
  const luma = new Uint8Array(width * height);
  lumaOfFrame(frame, width, height, luma);
  const rgb = new Uint8Array(3 * luma.length);
  // The weights of the three colours add up to 256, so that a grey pixel's luma is its own value.
  for (let i = 0; i < luma.length; i++) rgb.fill(luma[i]!, 3 * i, 3 * i + 3);
  return { captureMs: frame.captureMs, width, height, rgb };
}

/**
 * A frame's luma, cropped about its centre to an aspect between 3:4 and 4:3 and brought to (height, width) by integer
 * area means.
 *
 * @param out (height · width) u8, written.
 */
export function lumaOfFrame(frame: VideoFrame, width: number, height: number, out: Uint8Array): void {
  const { width: sourceWidth, height: sourceHeight, rgb } = frame;
  if (!(sourceWidth > 0 && sourceHeight > 0) || rgb.length !== sourceWidth * sourceHeight * 3) {
    throw new RuntimeError("shape-mismatch", {
      part: "native model",
      problem: `a ${sourceWidth}x${sourceHeight} frame holds ${rgb.length} bytes, expected ${sourceWidth * sourceHeight * 3}`,
    });
  }
  const cropWidth = Math.min(sourceWidth, Math.floor((4 * sourceHeight) / 3));
  const cropHeight = Math.min(sourceHeight, Math.floor((4 * sourceWidth) / 3));
  const left = Math.floor((sourceWidth - cropWidth) / 2);
  const top = Math.floor((sourceHeight - cropHeight) / 2);
  for (let i = 0; i < height; i++) {
    const [firstRow, endRow] = span(i, cropHeight, height);
    for (let j = 0; j < width; j++) {
      const [firstColumn, endColumn] = span(j, cropWidth, width);
      let total = 0;
      for (let row = firstRow; row < endRow; row++) {
        let at = ((top + row) * sourceWidth + left + firstColumn) * 3;
        for (let column = firstColumn; column < endColumn; column++, at += 3) {
          total += (77 * rgb[at]! + 150 * rgb[at + 1]! + 29 * rgb[at + 2]!) >> 8;
        }
      }
      out[i * width + j] = Math.floor(total / ((endRow - firstRow) * (endColumn - firstColumn)));
    }
  }
}

/** Source pixels [first, end) under target pixel `i`: at least one. */
function span(i: number, source: number, target: number): [first: number, end: number] {
  const first = Math.floor((i * source) / target);
  return [first, Math.max(Math.floor(((i + 1) * source) / target), first + 1)];
}

function clamp(value: number): number {
  return Math.max(-127, Math.min(127, value));
}
