/** Sound of less power than this cannot be told from silence in a room: -50 dB below full scale. */
const AUDIBLE_POWER = 1e-5;

/** True if a stretch of sound, f32 in [-1, 1], is loud enough to be taken for more than the noise of silence. */
export function isAudible(samples: Float32Array): boolean {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return sum > AUDIBLE_POWER * samples.length;
}
