/** How a camera hangs: its picture is turned clockwise by `rotate` degrees, then mirrored left to right. */
export interface Orientation {
  rotate: 0 | 90 | 180 | 270;
  mirror: boolean;
}

/** A picture (height, width, 3) u8, row-major. */
export interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** The picture as it should be seen; `picture` itself if nothing is to be done. */
export function oriented(picture: Picture, { rotate, mirror }: Orientation): Picture {
  if (rotate === 0 && !mirror) return picture;
  const { width, height, rgb } = picture;
  const onItsSide = rotate === 90 || rotate === 270;
  const [outWidth, outHeight] = onItsSide ? [height, width] : [width, height];
  const out = new Uint8Array(rgb.length);
  // Where the output's first pixel comes from, and how far a step right or down goes in the input.
  const { first, right, down } = walk(rotate, width, height);
  for (let y = 0, to = 0; y < outHeight; y++) {
    let from = 3 * (first + y * down + (mirror ? (outWidth - 1) * right : 0));
    const step = 3 * (mirror ? -right : right);
    for (let x = 0; x < outWidth; x++, to += 3, from += step) {
      out[to] = rgb[from]!;
      out[to + 1] = rgb[from + 1]!;
      out[to + 2] = rgb[from + 2]!;
    }
  }
  return { width: outWidth, height: outHeight, rgb: out };
}

function walk(
  rotate: Orientation["rotate"],
  width: number,
  height: number,
): { first: number; right: number; down: number } {
  switch (rotate) {
    case 0:
      return { first: 0, right: 1, down: width };
    case 90:
      return { first: (height - 1) * width, right: -width, down: 1 };
    case 180:
      return { first: height * width - 1, right: -1, down: -width };
    case 270:
      return { first: width - 1, right: width, down: -1 };
  }
}
