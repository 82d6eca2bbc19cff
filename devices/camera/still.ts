import { RuntimeError } from "../../src/core/errors.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";

/** Larger than this a still tells nobody more, pixels. */
const MAX_SIDE = 640;
const QUALITIES = [80, 60, 40, 20] as const;

/**
 * A picture as JPEG, at most 640 pixels wide and high, as good as `maxBytes` allow.
 * @param frame borrowed until the promise settles.
 * @throws RuntimeError "invalid-media" if it cannot be made so small.
 */
export async function encodeStill(
  { width, height, rgb }: VideoFrame,
  maxBytes: number,
): Promise<{ jpeg: Uint8Array; width: number; height: number }> {
  // Only sessions that send pictures need it, and it takes a tenth of a second to load.
  const { default: sharp } = await import("sharp");
  const smaller = sharp(rgb, { raw: { width, height, channels: 3 } }).resize({
    width: MAX_SIDE,
    height: MAX_SIDE,
    fit: "inside",
    withoutEnlargement: true,
  });
  for (const quality of QUALITIES) {
    const { data, info } = await smaller.clone().jpeg({ quality }).toBuffer({ resolveWithObject: true });
    if (data.length <= maxBytes) return { jpeg: data, width: info.width, height: info.height };
  }
  throw new RuntimeError("invalid-media", {
    part: "still",
    problem: `a picture of ${width} x ${height} makes no JPEG of at most ${maxBytes} bytes`,
  });
}
