/** A tone that rises from 200 to 1400 Hz and pulses three times a second: no two moments of it are alike. */
export function chirp(seconds: number, level = 0.4): Float32Array {
  return Float32Array.from({ length: Math.round(seconds * 24_000) }, (_, k) => {
    const t = k / 24_000;
    const sweep = 200 * t + ((1400 - 200) / (2 * seconds)) * t * t;
    return level * Math.sin(2 * Math.PI * sweep) * (0.6 + 0.4 * Math.sin(6 * Math.PI * t));
  });
}

export interface Likeness {
  /** 1: the same but for its level. */
  correlation: number;
  /** Level of the second over that of the first, dB. */
  gainDb: number;
  /** Samples by which the second comes later. */
  lag: number;
}

/** Compares two sounds where they overlap, at the delay of at most `maxLag` samples either way that suits them best. */
export function likeness(first: Float32Array, second: Float32Array, maxLag: number): Likeness {
  let best: Likeness = { correlation: Number.NEGATIVE_INFINITY, gainDb: Number.NaN, lag: 0 };
  for (let lag = -maxLag; lag <= maxLag; lag++) {
    let [product, power1, power2] = [0, 0, 0];
    const end = Math.min(first.length, second.length - lag);
    for (let k = Math.max(0, -lag); k < end; k++) {
      const [a, b] = [first[k]!, second[k + lag]!];
      product += a * b;
      power1 += a * a;
      power2 += b * b;
    }
    const correlation = product / Math.sqrt(power1 * power2);
    if (correlation > best.correlation) best = { correlation, gainDb: 10 * Math.log10(power2 / power1), lag };
  }
  return best;
}

export function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
