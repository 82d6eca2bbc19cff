import { expect, test } from "vitest";
import { lumaOfFrame, reducedFrame, VideoFeatures } from "../../../models/native/video-features.ts";
import type { VideoFrame } from "../../../src/core/micro-turn.ts";
import { seededUniform, TINY_CONFIG } from "./random-checkpoint.ts";

/** A grey picture: luma of grey v is (256 v) >> 8 = v. */
function grey(
  captureMs: number,
  width: number,
  height: number,
  level: (row: number, column: number) => number,
) {
  const rgb = new Uint8Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      rgb.fill(level(row, column), (row * width + column) * 3, (row * width + column + 1) * 3);
    }
  }
  return { captureMs, width, height, rgb };
}

function luma(frame: VideoFrame, width: number, height: number): number[] {
  const out = new Uint8Array(width * height);
  lumaOfFrame(frame, width, height, out);
  return [...out];
}

test("luma weighs the colours and rounds each source pixel down before it averages", () => {
  // (77·255) >> 8 = 76, (150·255) >> 8 = 149, (29·255) >> 8 = 28; their mean 253 / 3 = 84.33
  const rgb = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const frame = { captureMs: 0, width: 2, height: 3, rgb };
  // 2x3 is taller than 3:4: floor(4/3 · 2) = 2 rows remain, the odd one cut at the end.
  expect(luma(frame, 2, 2)).toEqual([76, 149, 28, 0]);
  expect(luma(frame, 1, 1)).toEqual([Math.floor(253 / 4)]);
});

test("a wide picture is cropped about its centre to 4:3, a tall one to 3:4", () => {
  // 12x6 -> 8x6: columns 2 to 9. 3x8 -> 3x4: rows 2 to 5.
  expect(
    luma(
      grey(0, 12, 6, (_, column) => column),
      8,
      1,
    ),
  ).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  expect(
    luma(
      grey(0, 3, 8, (row) => row),
      1,
      4,
    ),
  ).toEqual([2, 3, 4, 5]);
});

test("areas are split at whole pixels and a small picture is stretched", () => {
  // 5 pixels to 3: [0, 1), [1, 3), [3, 5). 2 pixels to 4: each twice.
  expect(
    luma(
      grey(0, 5, 5, (_, column) => 10 * column),
      3,
      1,
    ),
  ).toEqual([0, 15, 35]);
  expect(
    luma(
      grey(0, 2, 2, (_, column) => 10 * column),
      4,
      1,
    ),
  ).toEqual([0, 0, 10, 10]);
});

/** (frame, channel) of pixel 0. */
function pixel(pair: Int8Array, frame: number): number[] {
  const at = frame * 16 * 8 * 3;
  return [...pair.subarray(at, at + 3)];
}

const flat = (captureMs: number, level: number) => grey(captureMs, 16, 12, () => level);

test("brightness, change and distance from the background, by hand", () => {
  const features = new VideoFeatures(TINY_CONFIG);
  const half = (_: number, column: number) => (column < 8 ? 40 : 141);
  // Mean 90 (90.5 down). Pixel 0: (40 - 90) >> 1 = -25; a first frame has no change and is its own background.
  const first = features.take([grey(0, 16, 12, half), grey(100, 16, 12, (r, c) => half(r, c) + 10)], 0, 200)!;
  expect(pixel(first, 0)).toEqual([-25, 0, 0]);
  // 50 against 40: change 20, background still 40.
  expect(pixel(first, 1)).toEqual([-25, 20, 10]);
  // The background went from 40·256 = 10240 by (12800 - 10240) >> 5 = 80 to 10320, which is 40 whole levels.
  const second = features.take([flat(200, 0)], 200, 200)!;
  expect(pixel(second, 0)).toEqual([0, -100, -40]);
});

test("features are clamped to a signed byte", () => {
  const features = new VideoFeatures(TINY_CONFIG);
  const pair = features.take([flat(0, 0), flat(100, 255)], 0, 200)!;
  expect(pixel(pair, 1)).toEqual([0, 127, 127]);
  expect(pixel(features.take([flat(200, 0)], 200, 200)!, 0)).toEqual([0, -127, -7]);
});

test("the newest frame of each half is taken; a half without one borrows the other's features", () => {
  const features = new VideoFeatures(TINY_CONFIG);
  expect(features.take([], 0, 200)).toBeNull();
  // 50 is replaced by 60 in the first half; 100 is exactly the middle and so in the second.
  const both = features.take([flat(1000, 50), flat(1099, 60), flat(1100, 80)], 1000, 200)!;
  expect([pixel(both, 0)[1], pixel(both, 1)[1]]).toEqual([0, 40]);
  const late = features.take([flat(1300, 90)], 1200, 200)!;
  expect(pixel(late, 0)).toEqual(pixel(late, 1));
  expect(pixel(late, 0)[1]).toBe(20);
  const early = features.take([flat(1400, 95)], 1400, 200)!;
  expect(pixel(early, 1)).toEqual(pixel(early, 0));
  // Each frame changed the state once: had it twice, the change would be 0.
  expect(pixel(early, 0)[1]).toBe(10);
});

test("after a reset the next frame is a first frame", () => {
  const features = new VideoFeatures(TINY_CONFIG);
  features.take([flat(0, 10)], 0, 200);
  features.reset();
  expect(pixel(features.take([flat(0, 200)], 0, 200)!, 0)).toEqual([0, 0, 0]);
});

test("a frame that holds other bytes than its size says is refused", () => {
  const features = new VideoFeatures(TINY_CONFIG);
  const broken = { captureMs: 0, width: 4, height: 4, rgb: new Uint8Array(47) };
  expect(() => features.take([broken], 0, 200)).toThrow(/4x4 frame holds 47 bytes, expected 48/);
  expect(() => features.take([{ ...broken, width: 0, rgb: new Uint8Array(0) }], 0, 200)).toThrow(/0x4 frame/);
});

test("a reduced frame has the luma of the frame, whatever the sizes", () => {
  const uniform = seededUniform(7);
  const some = (least: number, most: number) =>
    least + Math.floor(((uniform() + 1) / 2) * (most - least + 1));
  let [kept, reduced] = [0, 0];
  for (let round = 0; round < 120; round++) {
    const [sourceWidth, sourceHeight, width, height] = [some(1, 30), some(1, 30), some(1, 20), some(1, 20)];
    const rgb = Uint8Array.from({ length: sourceWidth * sourceHeight * 3 }, () => some(0, 255));
    const frame = { captureMs: 123.456, width: sourceWidth, height: sourceHeight, rgb };
    const small = reducedFrame(frame, width, height);
    expect(luma(small, width, height)).toEqual(luma(frame, width, height));
    expect(small.captureMs).toBe(frame.captureMs);
    if (small === frame) kept++;
    else reduced++;
  }
  expect(Math.min(kept, reduced)).toBeGreaterThan(10);
});
