/** One layer: it folds t x h x h neighbourhoods into `out` channels. */
export interface Fold {
  t: number;
  h: number;
  out: number;
}

/** A layer's parameters. */
export interface FoldWeights {
  /** (out, t h h channels) row-major. */
  weight: ArrayLike<number>;
  /** (out), or null for the last layer, which neither normalises nor bends. */
  norm: ArrayLike<number> | null;
}

/** Sizes of a video stem. */
export interface HmlpShape {
  /** Of a frame, in pixels; multiples of `tile`. */
  width: number;
  height: number;
  tile: number;
  folds: readonly Fold[];
  normEps: number;
}

/**
 * One token per tile of a frame pair.
 *
 * @param video (2, height, width, 3) signed features, 32 times the network's input.
 * @returns (tiles, out of the last fold), tiles row by row.
 */
export function hmlpReference(
  shape: HmlpShape,
  layers: readonly FoldWeights[],
  video: ArrayLike<number>,
): Float64Array {
  const { width, height, tile } = shape;
  const tokens: number[] = [];
  for (let top = 0; top < height; top += tile) {
    for (let left = 0; left < width; left += tile) {
      let x = new Float64Array(2 * tile * tile * 3);
      let to = 0;
      for (let frame = 0; frame < 2; frame++) {
        for (let row = top; row < top + tile; row++) {
          for (let i = left * 3; i < (left + tile) * 3; i++) {
            x[to++] = video[(frame * height + row) * width * 3 + i]! / 32;
          }
        }
      }
      let size = { frames: 2, side: tile, channels: 3 };
      for (const [i, fold] of shape.folds.entries()) {
        x = foldReference(size, fold, layers[i]!, shape.normEps, x);
        size = { frames: size.frames / fold.t, side: size.side / fold.h, channels: fold.out };
      }
      tokens.push(...x);
    }
  }
  return Float64Array.from(tokens);
}

/** One layer over (frames, side, side, channels); the result has the shape (frames / t, side / h, side / h, out). */
function foldReference(
  size: { frames: number; side: number; channels: number },
  fold: Fold,
  { weight, norm }: FoldWeights,
  normEps: number,
  x: Float64Array,
): Float64Array<ArrayBuffer> {
  const { frames, side, channels } = size;
  const nInputs = fold.t * fold.h * fold.h * channels;
  const out: number[] = [];
  for (let frame = 0; frame < frames; frame += fold.t) {
    for (let row = 0; row < side; row += fold.h) {
      for (let column = 0; column < side; column += fold.h) {
        const inputs: number[] = [];
        for (let f = frame; f < frame + fold.t; f++) {
          for (let r = row; r < row + fold.h; r++) {
            for (let c = column; c < column + fold.h; c++) {
              const at = ((f * side + r) * side + c) * channels;
              for (let channel = 0; channel < channels; channel++) inputs.push(x[at + channel]!);
            }
          }
        }
        const y = new Float64Array(fold.out);
        for (let o = 0; o < fold.out; o++) {
          for (let i = 0; i < nInputs; i++) y[o]! += weight[o * nInputs + i]! * inputs[i]!;
        }
        if (norm) {
          let squares = 0;
          for (const value of y) squares += value * value;
          const scale = 1 / Math.sqrt(squares / fold.out + normEps);
          for (let o = 0; o < fold.out; o++) y[o] = gelu(norm[o]! * y[o]! * scale);
        }
        out.push(...y);
      }
    }
  }
  return Float64Array.from(out);
}

/** x (1 + erf(x / sqrt 2)) / 2. */
export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** The error function to double precision: its Maclaurin series (DLMF 7.6.1), and 1 past the point where it is that. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  // DLMF 7.6.2: erf x = 2/sqrt(pi) e^(-x^2) sum of 2^n x^(2n+1) / (1 3 5 .. (2n+1)): all terms of one sign.
  let term = x;
  let sum = 0;
  for (let n = 0; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 3);
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
