import { loadLibopus } from "libopus-wasm";
import { OggOpusDecoder } from "./ogg-opus-decoder.ts";
import { OggOpusEncoder } from "./ogg-opus-encoder.ts";
import { PcmDecoder, PcmEncoder } from "./pcm.ts";

/** How sound goes over the wire, both ways: an Ogg-Opus stream, or raw samples, signed 16 bit, little endian. */
export const SOUND_FORMATS = ["opus", "pcm_s16le"] as const;
export type SoundFormat = (typeof SOUND_FORMATS)[number];

/** What was wrong with the sound of a client, in numbers; all 0 in a healthy session. */
export type SoundFaults = Readonly<Record<string, number>>;

/** Turns the payloads of audio messages into sound: 24 kHz mono. */
export interface SoundDecoder {
  /** @param payload kept, not copied. It is decoded when it is asked for, so that a few bytes never become much sound. */
  push(payload: Uint8Array): void;
  /**
   * The next samples, f32, at most 120 ms; empty if something was passed over and more may follow at once; null if it
   * has to be pushed more.
   *
   * @throws RuntimeError "invalid-media" for a stream that can never be decoded, such as one with three channels.
   */
  read(): Promise<Float32Array | null>;
  readonly faults: SoundFaults;
  close(): void;
}

/** Turns sound, 24 kHz mono, into payloads of audio messages. */
export interface SoundEncoder {
  /** @param pcm (FRAME_SAMPLES) f32. Borrowed. */
  encode(pcm: Float32Array): Buffer;
  close(): void;
}

/** Loads what is loaded once, so that no client has to wait for it. */
export async function prepareSound(): Promise<void> {
  await loadLibopus();
}

export async function soundCodec(
  format: SoundFormat,
): Promise<{ decoder: SoundDecoder; encoder: SoundEncoder }> {
  switch (format) {
    case "opus":
      return { decoder: new OggOpusDecoder(), encoder: await OggOpusEncoder.create() };
    case "pcm_s16le":
      return { decoder: new PcmDecoder(), encoder: new PcmEncoder() };
    default:
      return format satisfies never;
  }
}
