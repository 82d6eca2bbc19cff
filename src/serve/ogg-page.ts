/** Header of a page up to its segment table (RFC 3533, section 6). */
export const HEADER_BYTES = 27;
/** A page holds at most 255 segments of 255 bytes. */
export const MAX_SEGMENTS = 255;
/** Flags of the header. */
const CONTINUED = 1;
const BEGIN_OF_STREAM = 2;
const END_OF_STREAM = 4;
const CAPTURE_PATTERN = Buffer.from("OggS", "latin1");
const CRC_OFFSET = 22;

/** One page of an Ogg stream. */
export interface OggPage {
  /** The first segment carries on the packet that the page before left unfinished. */
  continued: boolean;
  beginOfStream: boolean;
  endOfStream: boolean;
  /** What its packets lead up to, in units of the codec; -1 if no packet ends on the page. */
  granulePosition: bigint;
  /** Tells the logical streams apart. */
  serial: number;
  /** Counts the pages of a logical stream, from 0. */
  sequence: number;
  /** (at most 255) lengths of the segments, each at most 255: one below 255 ends a packet. */
  lacing: Uint8Array;
  /** The segments, one after the other. */
  body: Uint8Array;
}

/**
 * Remainders of the checksum's polynomial 0x04C11DB7 for each byte, most significant bit first, no inversion
 * (RFC 3533, section 6, field 7). The common CRC-32 takes the bits the other way round.
 */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 24;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder << 1) ^ (remainder < 0 ? 0x04c11db7 : 0);
  return remainder;
});

/** Checksum of a page, its own field counted as zero. */
function pageChecksum(page: Uint8Array): number {
  let crc = 0;
  for (let at = 0; at < page.length; at++) {
    const byte = at >= CRC_OFFSET && at < CRC_OFFSET + 4 ? 0 : page[at]!;
    crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]!;
  }
  return crc >>> 0;
}

/**
 * What stands at `at` of `bytes`: a page and its length in bytes; "incomplete" if more bytes must come to tell;
 * "damaged" if it looks like a page and its version or its checksum is wrong; "other" if no page begins there.
 * The page's arrays are views of `bytes`.
 */
export function readPage(
  bytes: Buffer,
  at: number,
): { page: OggPage; lengthBytes: number } | "incomplete" | "damaged" | "other" {
  const pattern = bytes.subarray(at, at + CAPTURE_PATTERN.length);
  if (pattern.compare(CAPTURE_PATTERN, 0, pattern.length) !== 0) return "other";
  if (bytes.length < at + HEADER_BYTES) return "incomplete";
  if (bytes[at + 4] !== 0) return "damaged";
  const nSegments = bytes[at + 26]!;
  const bodyAt = at + HEADER_BYTES + nSegments;
  if (bytes.length < bodyAt) return "incomplete";
  const lacing = bytes.subarray(at + HEADER_BYTES, bodyAt);
  const endAt = bodyAt + lacing.reduce((sum, segment) => sum + segment, 0);
  if (bytes.length < endAt) return "incomplete";
  if (pageChecksum(bytes.subarray(at, endAt)) !== bytes.readUInt32LE(at + CRC_OFFSET)) return "damaged";
  const flags = bytes[at + 5]!;
  const page = {
    continued: (flags & CONTINUED) !== 0,
    beginOfStream: (flags & BEGIN_OF_STREAM) !== 0,
    endOfStream: (flags & END_OF_STREAM) !== 0,
    granulePosition: bytes.readBigInt64LE(at + 6),
    serial: bytes.readUInt32LE(at + 14),
    sequence: bytes.readUInt32LE(at + 18),
    lacing,
    body: bytes.subarray(bodyAt, endAt),
  };
  return { page, lengthBytes: endAt - at };
}

/** Where the next page may begin, from `from` on; a pattern cut off by the end counts. `bytes.length` if nowhere. */
export function findCapturePattern(bytes: Buffer, from: number): number {
  const whole = bytes.indexOf(CAPTURE_PATTERN, from);
  if (whole !== -1) return whole;
  for (let at = Math.max(from, bytes.length - CAPTURE_PATTERN.length + 1); at < bytes.length; at++) {
    if (bytes.subarray(at).compare(CAPTURE_PATTERN, 0, bytes.length - at) === 0) return at;
  }
  return bytes.length;
}

/** The lacing values of one whole packet: 255 for each full segment, then what is left, which may be 0. */
export function packetLacing(packetBytes: number): number[] {
  return [...new Array<number>(Math.floor(packetBytes / 255)).fill(255), packetBytes % 255];
}

/** The page as it goes over the wire. */
export function writePage(page: OggPage): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + page.lacing.length + page.body.length);
  bytes.set(CAPTURE_PATTERN);
  bytes[5] =
    (page.continued ? CONTINUED : 0) |
    (page.beginOfStream ? BEGIN_OF_STREAM : 0) |
    (page.endOfStream ? END_OF_STREAM : 0);
  bytes.writeBigInt64LE(page.granulePosition, 6);
  bytes.writeUInt32LE(page.serial, 14);
  bytes.writeUInt32LE(page.sequence, 18);
  bytes[26] = page.lacing.length;
  bytes.set(page.lacing, HEADER_BYTES);
  bytes.set(page.body, HEADER_BYTES + page.lacing.length);
  bytes.writeUInt32LE(pageChecksum(bytes), CRC_OFFSET);
  return bytes;
}
