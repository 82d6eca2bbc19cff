/** The mean square of some sound, 0 of none; 1 is a square wave at full scale. */
export function power(samples: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i]! ** 2;
  return sum / Math.max(1, samples.length);
}

/** The power in dB over full scale; minus infinity of silence. */
export function powerDb(samples: Float32Array): number {
  return 10 * Math.log10(power(samples));
}
