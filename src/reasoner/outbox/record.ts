import { crc32 } from "@foxglove/crc";

/**
 * A record in a segment, little-endian:
 *
 *   0  4  marker: FF "MT" 01, the last byte is the format's version
 *   4  4  CRC-32 of everything after this field
 *   8  4  payload length, bytes
 *  12  4  type: 1 message, 2 acknowledgement
 *  16  8  id of the message, or of the one acknowledged
 *  24  8  wall time of the writing, Unix ms
 *  32  .  payload: UTF-8, so that the marker, which begins with a byte that UTF-8 never has, cannot stand in it
 */
export const HEADER_BYTES = 32;

const MARKER = Buffer.of(0xff, 0x4d, 0x54, 0x01);
const CRC_OFFSET = 4;
const CHECKED_OFFSET = 8;
const TYPES = { message: 1, acknowledgement: 2 } as const;

export interface RecordHead {
  type: keyof typeof TYPES;
  id: number;
  /** Unix ms. */
  writtenMs: number;
}

/** One whole record among the bytes of a segment. */
export interface FoundRecord extends RecordHead {
  /** Of its marker, bytes from the segment's start. */
  offset: number;
  payloadBytes: number;
}

/** What a segment's bytes hold. */
export interface ScannedSegment {
  records: FoundRecord[];
  /** Stretches between whole records that are none themselves. */
  corruptStretches: number;
  /** What follows the last whole record is a torn tail. */
  wholeBytes: number;
}

export function encodeRecord(head: RecordHead, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  MARKER.copy(bytes);
  bytes.writeUInt32LE(payload.length, 8);
  bytes.writeUInt32LE(TYPES[head.type], 12);
  bytes.writeBigUInt64LE(BigInt(head.id), 16);
  bytes.writeBigUInt64LE(BigInt(Math.max(0, Math.floor(head.writtenMs))), 24);
  bytes.set(payload, HEADER_BYTES);
  bytes.writeUInt32LE(crc32(bytes.subarray(CHECKED_OFFSET)), CRC_OFFSET);
  return bytes;
}

/** The record that begins at `offset`, or null if none does that is whole and undamaged. */
export function readRecord(segment: Buffer, offset: number): FoundRecord | null {
  if (offset + HEADER_BYTES > segment.length) return null;
  if (!segment.subarray(offset, offset + MARKER.length).equals(MARKER)) return null;
  const payloadBytes = segment.readUInt32LE(offset + 8);
  const end = offset + HEADER_BYTES + payloadBytes;
  if (end > segment.length) return null;
  const crc = segment.readUInt32LE(offset + CRC_OFFSET);
  if (crc !== crc32(segment.subarray(offset + CHECKED_OFFSET, end))) return null;
  const type = segment.readUInt32LE(offset + 12) === TYPES.message ? "message" : "acknowledgement";
  const id = Number(segment.readBigUInt64LE(offset + 16));
  const writtenMs = Number(segment.readBigUInt64LE(offset + 24));
  return { type, id, writtenMs, offset, payloadBytes };
}

/** Finds the whole records of a segment, passing over what is damaged. */
export function scanSegment(segment: Buffer): ScannedSegment {
  const records: FoundRecord[] = [];
  let corruptStretches = 0;
  let wholeBytes = 0;
  for (let offset = 0; offset >= 0; ) {
    const record = readRecord(segment, offset);
    if (record === null) {
      offset = segment.indexOf(MARKER, offset + 1);
      continue;
    }
    if (offset > wholeBytes) corruptStretches++;
    records.push(record);
    wholeBytes = offset + HEADER_BYTES + record.payloadBytes;
    offset = wholeBytes;
  }
  return { records, corruptStretches, wholeBytes };
}
