import { crc32 } from "@foxglove/crc";
import { describe, expect, test } from "vitest";

import { encodeRecord, HEADER_BYTES, scanSegment } from "../../../src/reasoner/outbox/record.ts";

/** The third is the check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRCs; zlib gives the others. */
test.each([
  ["", 0x00000000],
  ["a", 0xe8b7be43],
  ["123456789", 0xcbf43926],
  ["The quick brown fox jumps over the lazy dog", 0x414fa339],
])("the CRC of %j is that of the published vector", (text, crc) => {
  expect(crc32(Buffer.from(text))).toBe(crc);
});

const payloads = ["one", "", "with ÿ 日", "four"];

function segmentOf(texts: readonly string[]): { bytes: Buffer; ends: number[] } {
  const ends: number[] = [];
  const parts = texts.map((text, i) =>
    encodeRecord({ type: "message", id: i + 1, writtenMs: 1_700_000_000_000 + i }, Buffer.from(text)),
  );
  for (const part of parts) ends.push((ends.at(-1) ?? 0) + part.length);
  return { bytes: Buffer.concat(parts), ends };
}

function textsIn(bytes: Buffer): string[] {
  return scanSegment(bytes).records.map(({ offset, payloadBytes }) =>
    bytes.toString("utf8", offset + HEADER_BYTES, offset + HEADER_BYTES + payloadBytes),
  );
}

describe("a segment", () => {
  test("gives back what was written", () => {
    const { bytes } = segmentOf(payloads);
    expect(textsIn(bytes)).toEqual(payloads);
    expect(scanSegment(bytes)).toMatchObject({ corruptStretches: 0, wholeBytes: bytes.length });
    expect(scanSegment(bytes).records.map(({ id, writtenMs }) => [id, writtenMs])).toEqual(
      payloads.map((_, i) => [i + 1, 1_700_000_000_000 + i]),
    );
  });

  test("cut at any byte, gives every record before the cut", () => {
    const { bytes, ends } = segmentOf(payloads);
    for (let length = 0; length <= bytes.length; length++) {
      const cut = Buffer.from(bytes.subarray(0, length));
      const whole = ends.filter((end) => end <= length);
      expect(textsIn(cut)).toEqual(payloads.slice(0, whole.length));
      expect(scanSegment(cut)).toMatchObject({ corruptStretches: 0, wholeBytes: whole.at(-1) ?? 0 });
    }
  });

  test("with any one bit flipped, loses the record it stands in and no other", () => {
    const { bytes, ends } = segmentOf(payloads);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const hit = ends.findIndex((end) => end > bit >> 3);
      expect(textsIn(damaged)).toEqual(payloads.filter((_, i) => i !== hit));
      // At the end there is nothing behind it that would tell damage from a torn write.
      const atEnd = hit === payloads.length - 1;
      expect(scanSegment(damaged)).toMatchObject({
        corruptStretches: atEnd ? 0 : 1,
        wholeBytes: atEnd ? ends[hit - 1] : bytes.length,
      });
    }
  });

  test("a tail of zeros, as a file system may leave it, is torn", () => {
    const { bytes } = segmentOf(payloads);
    expect(scanSegment(Buffer.concat([bytes, Buffer.alloc(500)]))).toMatchObject({
      corruptStretches: 0,
      wholeBytes: bytes.length,
    });
  });
});
