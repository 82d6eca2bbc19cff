import { Application, createEncoder, type OpusEncoderHandle } from "libopus-wasm";
import { expectLength } from "../core/errors.ts";
import { packetLacing, writePage } from "./ogg-page.ts";
import { GRANULE_RATE_HZ, writeOpusHead, writeOpusTags } from "./opus-head.ts";
import { FRAME_SAMPLES, SAMPLE_RATE_HZ } from "./session.ts";
import type { SoundEncoder } from "./sound.ts";

/** 40 ms, as the published server sends them: the longest that every Opus decoder takes as one frame of speech. */
const PACKET_SAMPLES = 960;
/** Clear speech at 24 kHz. */
const BITRATE = 32_000;
const GRANULES_PER_SAMPLE = GRANULE_RATE_HZ / SAMPLE_RATE_HZ;
/** There is one stream in each direction, so any number tells it apart. */
const SERIAL = 1;

/**
 * A continuous Ogg-Opus stream (RFC 7845): one page a frame, each page whole. The two header pages go out with the first
 * frame, when the published web client has begun to listen for sound.
 */
export class OggOpusEncoder implements SoundEncoder {
  readonly #encoder: OpusEncoderHandle;
  #sequence = 0;
  #encodedSamples = 0;

  static async create(): Promise<OggOpusEncoder> {
    return new OggOpusEncoder(
      await createEncoder({
        channels: 1,
        sampleRate: SAMPLE_RATE_HZ,
        application: Application.Voip,
        bitrate: BITRATE,
        frameSize: PACKET_SAMPLES,
      }),
    );
  }

  private constructor(encoder: OpusEncoderHandle) {
    this.#encoder = encoder;
  }

  /** @throws RuntimeError "shape-mismatch" if `pcm` is no frame. */
  encode(pcm: Float32Array): Buffer {
    expectLength("opus encoder", "pcm", pcm.length, FRAME_SAMPLES);
    const headers = this.#sequence === 0 ? this.#headerPages() : [];
    const packets: Uint8Array[] = [];
    for (let at = 0; at < pcm.length; at += PACKET_SAMPLES) {
      packets.push(this.#encoder.encodeFloat(pcm.subarray(at, at + PACKET_SAMPLES)));
    }
    this.#encodedSamples += pcm.length;
    return Buffer.concat([...headers, this.#page(packets)]);
  }

  close(): void {
    this.#encoder.free();
  }

  /** Each of the two stands alone on its page (RFC 7845, section 3). */
  #headerPages(): Buffer[] {
    const head = writeOpusHead({
      channels: 1,
      preSkip: this.#encoder.getLookahead() * GRANULES_PER_SAMPLE,
      inputSampleRateHz: SAMPLE_RATE_HZ,
      outputGain: 0,
    });
    return [this.#page([head]), this.#page([writeOpusTags("microturn")])];
  }

  #page(packets: readonly Uint8Array[]): Buffer {
    const sequence = this.#sequence++;
    return writePage({
      continued: false,
      beginOfStream: sequence === 0,
      endOfStream: false,
      granulePosition: BigInt(this.#encodedSamples * GRANULES_PER_SAMPLE),
      serial: SERIAL,
      sequence,
      lacing: Uint8Array.from(packets.flatMap(({ length }) => packetLacing(length))),
      body: Buffer.concat(packets),
    });
  }
}
