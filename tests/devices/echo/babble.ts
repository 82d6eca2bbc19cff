import { seededRandom } from "../../timeline/random.ts";

const RATE_HZ = 16_000;

/** Noise in syllables, as loud and as broken as speech, at 16 kHz. */
export function babble(seconds: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  let colour = 0;
  return Float32Array.from({ length: Math.round(seconds * RATE_HZ) }, (_, n) => {
    colour = 0.7 * colour + 0.3 * (2 * random() - 1);
    return 0.6 * colour * Math.max(0, Math.sin((2 * Math.PI * 2.3 * n) / RATE_HZ));
  });
}

/** dBFS, -120 of silence. */
export function powerDb(samples: Float32Array): number {
  return 10 * Math.log10(samples.reduce((sum, s) => sum + s * s, 0) / samples.length + 1e-12);
}
