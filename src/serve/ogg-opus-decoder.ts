import { createDecoder, DecoderCtl, isOpusError, type OpusDecoderHandle } from "libopus-wasm";
import { type OggFaults, type OggPacket, OggReader } from "./ogg-reader.ts";
import { GRANULE_RATE_HZ, parseOpusHead } from "./opus-head.ts";
import { SAMPLE_RATE_HZ } from "./session.ts";
import type { SoundDecoder } from "./sound.ts";

const NO_SOUND = new Float32Array(0);
const TAGS_MAGIC = "OpusTags";
/** What a packet lasts that is damaged, if none before it was intact. */
const DEFAULT_PACKET_SAMPLES = SAMPLE_RATE_HZ / 50;

/**
 * A continuous Ogg-Opus stream (RFC 7845), whatever its packets last and however its pages are cut. Stereo is mixed
 * down. A damaged packet is concealed, so that what follows keeps its time. Not done: trimming the last packet
 * of a stream that ends (section 4.5): what pads it is heard as well.
 */
export class OggOpusDecoder implements SoundDecoder {
  readonly #ogg = new OggReader();
  #decoder: OpusDecoderHandle | null = null;
  /** Samples at 24 kHz still to be dropped. */
  #preSkip = 0;
  #expectsTags = false;
  #lastSamples = DEFAULT_PACKET_SAMPLES;
  #damagedPackets = 0;

  get faults(): OggFaults & { damagedPackets: number } {
    return { ...this.#ogg.faults, damagedPackets: this.#damagedPackets };
  }

  push(payload: Uint8Array): void {
    this.#ogg.push(payload);
  }

  async read(): Promise<Float32Array | null> {
    const packet = this.#ogg.next();
    if (packet === null) return null;
    if (packet === "again") return NO_SOUND;
    if (packet.beginsStream) await this.#beginStream(packet);
    else if (!this.#isTags(packet)) return this.#afterPreSkip(await this.#decode(packet.data));
    return NO_SOUND;
  }

  close(): void {
    this.#decoder?.free();
    this.#decoder = null;
  }

  async #beginStream({ data }: OggPacket): Promise<void> {
    const head = parseOpusHead(data);
    this.close();
    const decoder = await this.#ownDecoder();
    if (head.outputGain !== 0) decoder.decoderCtl(DecoderCtl.SetGain, head.outputGain);
    this.#preSkip = Math.round((head.preSkip * SAMPLE_RATE_HZ) / GRANULE_RATE_HZ);
    this.#expectsTags = true;
  }

  /** The comment header is the second packet of a stream. One that is joined late may have it first. */
  #isTags({ data }: OggPacket): boolean {
    if (!this.#expectsTags && this.#decoder !== null) return false;
    this.#expectsTags = false;
    return Buffer.from(data.subarray(0, TAGS_MAGIC.length)).toString("latin1") === TAGS_MAGIC;
  }

  /** Joined late, a stream has no header: libopus finds out all it needs from each packet. */
  async #ownDecoder(): Promise<OpusDecoderHandle> {
    this.#decoder ??= await createDecoder({ channels: 1, sampleRate: SAMPLE_RATE_HZ });
    return this.#decoder;
  }

  async #decode(packet: Uint8Array): Promise<Float32Array> {
    const decoder = await this.#ownDecoder();
    try {
      if (packet.length > 0) {
        const samples = decoder.decodeFloat(packet);
        this.#lastSamples = samples.length;
        return samples;
      }
    } catch (error) {
      if (!isOpusError(error)) throw error;
    }
    this.#damagedPackets++;
    return decoder.decodePacketLossFloat(this.#lastSamples);
  }

  #afterPreSkip(samples: Float32Array): Float32Array {
    const dropped = Math.min(this.#preSkip, samples.length);
    this.#preSkip -= dropped;
    return dropped === 0 ? samples : samples.subarray(dropped);
  }
}
