import { RuntimeError } from "../core/errors.ts";

const MAGIC = Buffer.from("OpusHead", "latin1");
/** Up to the channel mapping family. */
const HEAD_BYTES = 19;
/** Samples of OpusHead and of granule positions are counted at this rate, whatever the sound's own (RFC 7845, section 4). */
export const GRANULE_RATE_HZ = 48_000;

/** The identification header of an Ogg-Opus stream (RFC 7845, section 5.1). */
export interface OpusHead {
  channels: number;
  /** Samples at 48 kHz to drop from the beginning of the decoded sound. */
  preSkip: number;
  /** Rate of the sound before it was encoded, Hz; for information only. */
  inputSampleRateHz: number;
  /** To be applied to the decoded sound, in 1/256 dB. */
  outputGain: number;
}

/**
 * Reads the first packet of a stream.
 * @throws RuntimeError "invalid-media" if it is no Opus stream, or one of more than two channels.
 */
export function parseOpusHead(packet: Uint8Array): OpusHead {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) {
    throw unusable("an Ogg stream does not begin with an OpusHead packet of 19 bytes or more");
  }
  // The upper four bits are the major version: a newer minor one can be read (section 5.1, item 2).
  if (bytes[8]! >> 4 !== 0) throw unusable(`OpusHead has version ${bytes[8]}, expected 0 to 15`);
  const channels = bytes[9]!;
  const mappingFamily = bytes[18]!;
  if (mappingFamily !== 0 || channels < 1 || channels > 2) {
    throw unusable(
      `${channels} channels in mapping family ${mappingFamily}, expected 1 or 2 channels in family 0`,
    );
  }
  return {
    channels,
    preSkip: bytes.readUInt16LE(10),
    inputSampleRateHz: bytes.readUInt32LE(12),
    outputGain: bytes.readInt16LE(16),
  };
}

export function writeOpusHead({ channels, preSkip, inputSampleRateHz, outputGain }: OpusHead): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.set(MAGIC);
  bytes[8] = 1;
  bytes[9] = channels;
  bytes.writeUInt16LE(preSkip, 10);
  bytes.writeUInt32LE(inputSampleRateHz, 12);
  bytes.writeInt16LE(outputGain, 16);
  return bytes;
}

/** The comment header (section 5.2), with no comments. */
export function writeOpusTags(vendor: string): Buffer {
  const name = Buffer.from(vendor, "utf8");
  const bytes = Buffer.alloc(16 + name.length);
  bytes.write("OpusTags", "latin1");
  bytes.writeUInt32LE(name.length, 8);
  bytes.set(name, 12);
  return bytes;
}

function unusable(problem: string): RuntimeError {
  return new RuntimeError("invalid-media", {
    part: "audio",
    problem,
    remedy: "Send an Ogg-Opus stream of one or two channels, or ask for format=pcm_s16le",
  });
}
