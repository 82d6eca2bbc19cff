import { createHash } from "node:crypto";
import type { MicroTurnInput } from "../../src/core/micro-turn.ts";

/** Everything that a micro-turn perceives, with sound and pictures as hashes: quick to compare, and short when printed. */
export function fingerprint({ audio, frames, ...rest }: MicroTurnInput) {
  const hash = (bytes: ArrayBufferView) =>
    createHash("sha256")
      .update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      .digest("hex");
  return {
    ...rest,
    audio: audio && [audio.length, hash(audio)],
    frames: frames.map(({ rgb, ...frame }) => ({ ...frame, rgb: hash(rgb) })),
  };
}
