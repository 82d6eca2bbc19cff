const FULL_SCALE = 32_768;

/** Sound as base64, little-endian. */
export interface StoredSound {
  /** Rounded to 16 bits: what players play. */
  data: string;
  /** The f32 samples themselves; absent where 16 bits hold them exactly, as a microphone's at the model's rate. */
  exact?: string;
}

/** @param samples mono f32, of any value. Borrowed. */
export function storeSound(samples: Float32Array): StoredSound {
  const { data, isExact } = toPcm16(samples);
  if (isExact) return { data };
  const bytes = Buffer.alloc(4 * samples.length);
  for (let i = 0; i < samples.length; i++) bytes.writeFloatLE(samples[i]!, 4 * i);
  return { data, exact: bytes.toString("base64") };
}

/** Sound rounded to 16 bits and kept within their range. */
export function toPcm16(samples: Float32Array): { data: string; isExact: boolean } {
  const pcm = Buffer.alloc(2 * samples.length);
  let isExact = true;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    const level = Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, Math.round(sample * FULL_SCALE)));
    // A NaN is stored as silence, and is not equal to it.
    pcm.writeInt16LE(level || 0, 2 * i);
    isExact &&= level / FULL_SCALE === sample;
  }
  return { data: pcm.toString("base64"), isExact };
}

/** The samples that were stored, to the bit. */
export function restoreSound({ data, exact }: StoredSound): Float32Array {
  const bytes = Buffer.from(exact ?? data, "base64");
  if (exact === undefined) {
    return Float32Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(2 * i) / FULL_SCALE);
  }
  return Float32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readFloatLE(4 * i));
}
