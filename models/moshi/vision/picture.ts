/** A picture as a camera gives it: `rgb` is (height, width, 3) u8, row-major. */
export interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/**
 * The whole picture as a square, its sides squeezed alike whatever they were, as the original does (kyutai-labs/moshivis,
 * get_minimal_transforms: bicubic, the shape not kept).
 *
 * @returns (size, size, 3) u8.
 */
export async function squareOf({ width, height, rgb }: Picture, size: number): Promise<Uint8Array> {
  // Only sessions with a camera need it, and it takes a tenth of a second to load.
  const { default: sharp } = await import("sharp");
  return await sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize({ width: size, height: size, fit: "fill", kernel: "cubic" })
    .raw()
    .toBuffer();
}
