import { describe, expect, test } from "vitest";
import {
  findCapturePattern,
  type OggPage,
  packetLacing,
  readPage,
  writePage,
} from "../../src/serve/ogg-page.ts";
import { OggReader } from "../../src/serve/ogg-reader.ts";
import { oggOpusOf, packetSizes } from "./ffmpeg.ts";
import { randomBytes, seeded } from "./random.ts";
import { chirp } from "./sound.ts";

const BLANK: OggPage = {
  continued: false,
  beginOfStream: false,
  endOfStream: false,
  granulePosition: 0n,
  serial: 7,
  sequence: 0,
  lacing: new Uint8Array(),
  body: new Uint8Array(),
};

/** A page that holds whole packets. */
function pageOf(packets: readonly Uint8Array[], head: Partial<OggPage> = {}): Buffer {
  const lacing = Uint8Array.from(packets.flatMap(({ length }) => packetLacing(length)));
  return writePage({ ...BLANK, lacing, body: Buffer.concat(packets), ...head });
}

/** All packets that can be read from what was pushed. */
function drain(reader: OggReader): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let found = reader.next(); found !== null; found = reader.next()) {
    if (found !== "again") packets.push(found.data);
  }
  return packets;
}

function packetsOf(...pieces: readonly Uint8Array[]): { sizes: number[]; reader: OggReader } {
  const reader = new OggReader();
  const sizes: number[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    sizes.push(...drain(reader).map(({ length }) => length));
  }
  return { sizes, reader };
}

/** The page's checksum bit by bit, as a division of polynomials over the whole page. */
function checksumBitByBit(page: Buffer): number {
  const bytes = Buffer.from(page);
  bytes.fill(0, 22, 26);
  let register = 0n;
  for (const byte of [...bytes, 0, 0, 0, 0]) {
    for (let bit = 7; bit >= 0; bit--) {
      register = (register << 1n) | BigInt((byte >> bit) & 1);
      if (register >> 32n === 1n) register ^= 0x104c11db7n;
    }
  }
  return Number(register);
}

describe("pages", () => {
  test("read back as they were written", () => {
    const random = seeded(1);
    for (const length of [0, 1, 254, 255, 256, 509, 510, 511, 61_440]) {
      const body = randomBytes(random, length);
      const page: OggPage = {
        ...BLANK,
        continued: length % 2 === 0,
        beginOfStream: length % 3 === 0,
        endOfStream: length % 5 === 0,
        granulePosition: -1n,
        serial: 0xffff_fff0,
        sequence: 0xffff_ffff,
        lacing: Uint8Array.from(packetLacing(length)),
        body,
      };
      const bytes = writePage(page);
      const found = readPage(Buffer.concat([Buffer.from("xy"), bytes]), 2);
      if (typeof found === "string") throw new Error(found);
      expect(found.lengthBytes).toBe(bytes.length);
      expect({
        ...found.page,
        lacing: [...found.page.lacing],
        body: Buffer.compare(found.page.body, body),
      }).toEqual({ ...page, lacing: [...page.lacing], body: 0 });
    }
  });

  test("lace packets as RFC 3533 does: a multiple of 255 ends with a 0", () => {
    expect([0, 254, 255, 256, 510].map(packetLacing)).toEqual([
      [0],
      [254],
      [255, 0],
      [255, 1],
      [255, 255, 0],
    ]);
  });

  test("have the checksum of RFC 3533, divided out bit by bit, and that of ffmpeg's pages", () => {
    const page = pageOf([randomBytes(seeded(2), 300)]);
    expect(page.readUInt32LE(22)).toBe(checksumBitByBit(page));
    const stream = oggOpusOf(chirp(0.2));
    for (let at = 0; at < stream.length; ) {
      const found = readPage(stream, at);
      if (typeof found === "string") throw new Error(found);
      at += found.lengthBytes;
    }
  });

  test("with any one bit changed are not taken", () => {
    const page = pageOf([randomBytes(seeded(3), 40)]);
    for (let bit = 0; bit < 8 * page.length; bit++) {
      const bytes = Buffer.from(page);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(typeof readPage(bytes, 0), `bit ${bit}`).toBe("string");
    }
  });

  test("cut off anywhere are incomplete, and a pattern cut off is found", () => {
    const page = pageOf([randomBytes(seeded(4), 40)]);
    for (let length = 0; length < page.length; length++) {
      expect(readPage(page.subarray(0, length), 0)).toBe("incomplete");
    }
    for (let length = 1; length <= 4; length++) {
      expect(findCapturePattern(Buffer.concat([Buffer.from("Ogg-"), page.subarray(0, length)]), 0)).toBe(4);
    }
    expect(findCapturePattern(Buffer.from("nothing here"), 0)).toBe(12);
  });
});

describe("the reader", () => {
  const stream = oggOpusOf(chirp(1), { pageMs: 100 });
  const expected = packetSizes(stream);

  test("finds the packets that ffprobe finds, however the stream is cut", () => {
    expect(expected.length).toBeGreaterThan(40);
    const random = seeded(5);
    for (const most of [1, 7, 100, 5000, stream.length]) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < stream.length; ) {
        const end = at + 1 + Math.floor(random() * most);
        pieces.push(stream.subarray(at, end));
        at = end;
      }
      const { sizes, reader } = packetsOf(...pieces);
      expect(sizes.slice(2)).toEqual(expected);
      expect(Object.values(reader.faults)).toEqual([0, 0, 0, 0, 0]);
    }
  });

  test("puts packets together that go over pages, empty ones and multiples of 255 included", () => {
    const packet = randomBytes(seeded(6), 700);
    const first = writePage({
      ...BLANK,
      lacing: Uint8Array.of(3, 0, 255),
      body: Buffer.concat([Buffer.from("abc"), packet.subarray(0, 255)]),
      granulePosition: 1n,
    });
    const middle = writePage({
      ...BLANK,
      continued: true,
      sequence: 1,
      lacing: Uint8Array.of(255),
      body: packet.subarray(255, 510),
      granulePosition: -1n,
    });
    const last = writePage({
      ...BLANK,
      continued: true,
      sequence: 2,
      lacing: Uint8Array.of(190, 255, 0),
      body: Buffer.concat([packet.subarray(510), new Uint8Array(255)]),
    });
    expect(packetsOf(first, middle, last).sizes).toEqual([3, 0, 700, 255]);
    const lost = packetsOf(first, last);
    expect(lost.sizes).toEqual([3, 0, 255]);
    expect(lost.reader.faults).toMatchObject({ gaps: 1, brokenPackets: 2 });
  });

  test("goes on after damage: junk, a wrong checksum, a page cut short, a false beginning", () => {
    const page = (sequence: number) => pageOf([new Uint8Array(50).fill(sequence)], { sequence });
    const wrong = page(1);
    wrong[40]! ^= 1;
    const { sizes, reader } = packetsOf(
      ...[Buffer.from("junk OggS more junk"), page(0), wrong, page(2)],
      ...[page(3).subarray(0, 60), page(4), page(5)],
    );
    expect(sizes).toEqual([50, 50, 50, 50]);
    expect(reader.faults).toMatchObject({ gaps: 2, damagedPages: 3 });
    expect(reader.faults.skippedBytes).toBe(19 + wrong.length + 60);
  });

  test("does not wait for the end of a page that was cut short when the next is there", () => {
    const page = (sequence: number) => pageOf([new Uint8Array(20_000).fill(sequence)], { sequence });
    const small = pageOf([new Uint8Array(5)], { sequence: 1 });
    const { sizes, reader } = packetsOf(page(0).subarray(0, 300), small);
    expect(sizes).toEqual([5]);
    expect(reader.faults).toMatchObject({ damagedPages: 1, skippedBytes: 300 });
  });

  test("reads one stream at a time: another beside it is passed over, one after it is taken", () => {
    const { sizes, reader } = packetsOf(
      pageOf([new Uint8Array(1)], { beginOfStream: true }),
      pageOf([new Uint8Array(2)], { serial: 8 }),
      pageOf([new Uint8Array(3)], { sequence: 1, endOfStream: true }),
      pageOf([new Uint8Array(4)], { serial: 9, sequence: 33 }),
      pageOf([new Uint8Array(5)], { serial: 10, beginOfStream: true }),
    );
    expect(sizes).toEqual([1, 3, 4, 5]);
    expect(reader.faults).toMatchObject({ foreignPages: 1, gaps: 0 });
  });

  test("holds no packet that is too long", () => {
    const full = { lacing: new Uint8Array(255).fill(255), body: new Uint8Array(255 * 255) };
    const pages = [0, 1, 2].map((sequence) =>
      writePage({ ...BLANK, ...full, sequence, continued: sequence > 0 }),
    );
    const end = writePage({
      ...BLANK,
      continued: true,
      sequence: 3,
      lacing: Uint8Array.of(9, 4),
      body: new Uint8Array(13),
    });
    const { sizes, reader } = packetsOf(...pages, end);
    expect(sizes).toEqual([4]);
    expect(reader.faults.brokenPackets).toBe(1);
  });

  test("never fails on random bytes and damaged streams, and always comes to an end", () => {
    const random = seeded(7);
    for (let round = 0; round < 2000; round++) {
      const reader = new OggReader();
      const bytes = Buffer.from(stream.subarray(0, 200 + Math.floor(random() * 2000)));
      for (let hit = random() * 8; hit > 0; hit--) {
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      }
      reader.push(random() < 0.3 ? randomBytes(random, 500) : bytes);
      drain(reader);
    }
  });
});
