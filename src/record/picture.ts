import type { VideoFrame } from "../core/micro-turn.ts";

/** Larger pictures are none of ours: a session's are at most 320 pixels wide or high, a whole camera's 4K. */
const MAX_PIXELS = 4096 * 4096;
/** Level 2 of 9: a third of the time of the default for a tenth more bytes. */
const COMPRESSION_LEVEL = 2;

/** A frame's pixels; one channel where all its pixels are grey. */
export interface Picture {
  width: number;
  height: number;
  channels: 1 | 3;
  /** (height, width, channels) u8. */
  data: Uint8Array;
}

/** The frame's pixels in an array of their own. */
export function pictureOf({ width, height, rgb }: VideoFrame): Picture {
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    const [red, green, blue] = [rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!];
    if (red !== green || green !== blue) return { width, height, channels: 3, data: rgb.slice() };
    grey[i] = red;
  }
  return { width, height, channels: 1, data: grey };
}

/** The picture as PNG, which loses nothing. */
export async function encodePng({ width, height, channels, data }: Picture): Promise<Buffer> {
  const sharp = await loadSharp();
  const picture = sharp(data, { raw: { width, height, channels } });
  // Without being told sharp writes grey pictures in colour, and twice as large.
  if (channels === 1) picture.toColourspace("b-w");
  return await picture.png({ compressionLevel: COMPRESSION_LEVEL }).toBuffer();
}

/** @returns width, height and (height, width, 3) u8. @throws if it is no PNG of 8 bits. */
export async function decodePng(bytes: Uint8Array): Promise<Omit<VideoFrame, "captureMs">> {
  const sharp = await loadSharp();
  const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels === 3) return { width, height, rgb: new Uint8Array(data) };
  if (channels !== 1) throw new Error(`a picture of ${channels} channels, expected 1 or 3`);
  const rgb = new Uint8Array(3 * data.length);
  for (let i = 0; i < data.length; i++) rgb.fill(data[i]!, 3 * i, 3 * i + 3);
  return { width, height, rgb };
}

/** Only sessions with a camera need it, and it takes a tenth of a second to load. */
export async function loadSharp(): Promise<typeof import("sharp").default> {
  return (await import("sharp")).default;
}
