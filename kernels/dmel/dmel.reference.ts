/** The front end's constants: models/native/README.md, "Audio features". */
export const DMEL = {
  sampleRateHz: 16000,
  window: 1600,
  hop: 800,
  /** Samples before the first hop that a call must be given. */
  history: 800,
  nBins: 801,
  nMels: 80,
  nLevels: 16,
  minLog10: -7,
  maxLog10: 2,
} as const;

/** The bins under one triangular filter, those of weight zero left out. */
export interface MelFilter {
  firstBin: number;
  weights: Float64Array;
}

/** 80 triangles with edges evenly spaced on the Slaney mel scale over 0-8000 Hz, each of area 1. */
export function melFilters(): MelFilter[] {
  const { nMels, nBins, sampleRateHz, window } = DMEL;
  const top = melOfHz(sampleRateHz / 2);
  const edges = Array.from({ length: nMels + 2 }, (_, i) => hzOfMel((top * i) / (nMels + 1)));
  const filters: MelFilter[] = [];
  for (let c = 0; c < nMels; c++) {
    const [low, centre, high] = [edges[c]!, edges[c + 1]!, edges[c + 2]!];
    const weights: number[] = [];
    let firstBin = 0;
    for (let k = 0; k < nBins; k++) {
      const hz = (k * sampleRateHz) / window;
      const height = Math.min((hz - low) / (centre - low), (high - hz) / (high - centre));
      if (height <= 0) continue;
      if (weights.length === 0) firstBin = k;
      weights.push((height * 2) / (high - low));
    }
    filters.push({ firstBin, weights: Float64Array.from(weights) });
  }
  return filters;
}

/** Slaney's scale: linear below 1000 Hz, then 27 mel to a factor of 6.4. */
function melOfHz(hz: number): number {
  return hz < 1000 ? (hz * 3) / 200 : 15 + (Math.log(hz / 1000) * 27) / Math.log(6.4);
}

function hzOfMel(mel: number): number {
  return mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp((Math.log(6.4) / 27) * (mel - 15));
}

/** cos and -sin of 2 pi n / 1600: the real and imaginary parts of e^(-2 pi i n / 1600). */
export function turnTable(): { cos: Float64Array; sin: Float64Array } {
  const angle = (n: number) => (2 * Math.PI * n) / DMEL.window;
  return {
    cos: Float64Array.from({ length: DMEL.window }, (_, n) => Math.cos(angle(n))),
    sin: Float64Array.from({ length: DMEL.window }, (_, n) => -Math.sin(angle(n))),
  };
}

const SIDE = 40;
const turns = turnTable();
const filters = melFilters();

/**
 * Clamped log10 mel magnitudes of every frame that ends within `pcm`.
 *
 * @param pcm (800 + 800 n) mono at 16 kHz in [-1, 1]: the 800 samples before the stretch, zeros at a session's start,
 *            then the stretch. Borrowed.
 * @returns (n, 80) in [-7, 2].
 */
export function dmelValues(pcm: ArrayLike<number>): Float64Array {
  const { hop, history, nMels, minLog10, maxLog10 } = DMEL;
  const nFrames = (pcm.length - history) / hop;
  const values = new Float64Array(nFrames * nMels);
  for (let frame = 0; frame < nFrames; frame++) {
    const magnitudes = frameMagnitudes(pcm, frame * hop);
    for (const [c, { firstBin, weights }] of filters.entries()) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i]! * magnitudes[firstBin + i]!;
      const value = Math.log10(Math.max(sum, 1e-10));
      values[frame * nMels + c] = Math.min(Math.max(value, minLog10), maxLog10);
    }
  }
  return values;
}

/**
 * dMel levels of every frame that ends within `pcm`: what the model hears. Streaming is the caller's: each call is given
 * the 800 samples before its stretch, and frames do not depend on where the calls were cut.
 *
 * @param pcm (800 + 800 n), as for `dmelValues`.
 * @returns (n, 80) levels 0 to 15.
 */
export function dmelLevels(pcm: ArrayLike<number>): Uint8Array {
  return Uint8Array.from(dmelValues(pcm), levelOf);
}

/** The nearest of 16 centres over [-7, 2], a tie to the lower. */
export function levelOf(value: number): number {
  const step = (DMEL.maxLog10 - DMEL.minLog10) / (DMEL.nLevels - 1);
  const level = Math.ceil((value - DMEL.minLog10) / step - 0.5);
  return Math.min(Math.max(level, 0), DMEL.nLevels - 1);
}

/**
 * Magnitudes of a windowed frame's spectrum, bins 0 to 800. With n = 40 a + b and p = k mod 40 the sum over n splits
 * into one over a, which bins of the same p share, and one over b: 1 600 x 80 products in place of 1 600 x 801.
 */
function frameMagnitudes(pcm: ArrayLike<number>, start: number): Float64Array {
  const { window, nBins } = DMEL;
  const windowed = Float64Array.from(
    { length: window },
    (_, n) => (0.5 - 0.5 * turns.cos[n]!) * pcm[start + n]!,
  );
  const re = new Float64Array(window);
  const im = new Float64Array(window);
  for (let p = 0; p < SIDE; p++) {
    for (let b = 0; b < SIDE; b++) {
      for (let a = 0; a < SIDE; a++) {
        const turn = SIDE * ((a * p) % SIDE);
        re[p * SIDE + b]! += windowed[SIDE * a + b]! * turns.cos[turn]!;
        im[p * SIDE + b]! += windowed[SIDE * a + b]! * turns.sin[turn]!;
      }
    }
  }
  const magnitudes = new Float64Array(nBins);
  for (let k = 0; k < nBins; k++) {
    let sumRe = 0;
    let sumIm = 0;
    for (let b = 0; b < SIDE; b++) {
      const turn = (b * k) % window;
      const at = (k % SIDE) * SIDE + b;
      sumRe += re[at]! * turns.cos[turn]! - im[at]! * turns.sin[turn]!;
      sumIm += re[at]! * turns.sin[turn]! + im[at]! * turns.cos[turn]!;
    }
    magnitudes[k] = Math.sqrt(Math.max(sumRe * sumRe + sumIm * sumIm, 1e-10));
  }
  return magnitudes;
}
