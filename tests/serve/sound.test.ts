import { describe, expect, test } from "vitest";
import { OggOpusDecoder } from "../../src/serve/ogg-opus-decoder.ts";
import { OggOpusEncoder } from "../../src/serve/ogg-opus-encoder.ts";
import { findCapturePattern, readPage, writePage } from "../../src/serve/ogg-page.ts";
import { parseOpusHead, writeOpusHead } from "../../src/serve/opus-head.ts";
import { PcmDecoder, PcmEncoder } from "../../src/serve/pcm.ts";
import type { SoundDecoder } from "../../src/serve/sound.ts";
import { decoded, oggOpusOf } from "./ffmpeg.ts";
import { chirp, joined, likeness } from "./sound.ts";

async function heard(decoder: SoundDecoder, ...pieces: readonly Uint8Array[]): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let part = await decoder.read(); part !== null; part = await decoder.read()) parts.push(part);
  }
  return joined(parts);
}

/** The pages of a stream. */
function pagesOf(stream: Buffer): Buffer[] {
  const pages: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const next = findCapturePattern(stream, at + 4);
    pages.push(stream.subarray(at, next));
    at = next;
  }
  return pages;
}

describe("Opus that comes", () => {
  const sound = chirp(2);

  test.each([2.5, 5, 10, 20, 40, 60])(
    "in packets of %d ms sounds as ffmpeg's decoder has it",
    async (frameMs) => {
      const stream = oggOpusOf(sound, { frameMs });
      const samples = await heard(new OggOpusDecoder(), stream);
      const { correlation, gainDb, lag } = likeness(decoded(stream), samples, 4);
      expect(correlation).toBeGreaterThan(0.999);
      expect(Math.abs(gainDb)).toBeLessThan(0.1);
      expect(lag).toBe(0);
    },
  );

  test("in stereo is mixed down", async () => {
    const stream = oggOpusOf(sound, { channels: 2 });
    expect(
      likeness(decoded(stream), await heard(new OggOpusDecoder(), stream), 4).correlation,
    ).toBeGreaterThan(0.999);
  });

  test("begins after the pre-skip, and is as loud as the header says", async () => {
    const stream = oggOpusOf(sound);
    const [head, ...rest] = pagesOf(stream);
    const found = readPage(head!, 0);
    if (typeof found === "string") throw new Error(found);
    const original = parseOpusHead(found.page.body);
    const louder = writePage({
      ...found.page,
      body: writeOpusHead({ ...original, preSkip: original.preSkip + 4800, outputGain: 6 * 256 }),
    });
    const plain = await heard(new OggOpusDecoder(), stream);
    const changed = await heard(new OggOpusDecoder(), louder, ...rest);
    expect(plain.length - changed.length).toBe(2400);
    const { correlation, gainDb } = likeness(plain.subarray(2400), changed, 0);
    expect(correlation).toBeGreaterThan(0.9999);
    expect(gainDb).toBeCloseTo(6, 1);
  });

  test("may be joined late, and may begin anew", async () => {
    const stream = oggOpusOf(sound);
    const whole = await heard(new OggOpusDecoder(), stream);
    const pages = pagesOf(stream);
    const late = await heard(new OggOpusDecoder(), ...pages.slice(10));
    expect(likeness(whole.subarray(whole.length - late.length), late, 0).correlation).toBeGreaterThan(0.99);
    const headless = await heard(new OggOpusDecoder(), ...pages.slice(1));
    expect(headless.length - whole.length).toBe(156); // what the header would have had it skip
    const twice = await heard(new OggOpusDecoder(), stream, stream);
    expect(twice.length).toBe(2 * whole.length);
    expect(twice.subarray(whole.length)).toEqual(whole);
  });

  test("keeps its time over a packet that cannot be decoded", async () => {
    const pages = pagesOf(oggOpusOf(sound, { pageMs: 20 }));
    const found = readPage(pages[40]!, 0);
    if (typeof found === "string") throw new Error(found);
    // Code 3 with 63 frames: more than 120 ms (RFC 6716, section 3.4, R5).
    const body = Uint8Array.of(0xff, 0x3f, ...found.page.body.subarray(2));
    const decoder = new OggOpusDecoder();
    const samples = await heard(
      decoder,
      ...pages.slice(0, 40),
      writePage({ ...found.page, body }),
      ...pages.slice(41),
    );
    expect(decoder.faults.damagedPackets).toBe(1);
    const whole = await heard(new OggOpusDecoder(), ...pages);
    expect(samples.length).toBe(whole.length);
    expect(likeness(whole.subarray(-12_000), samples.subarray(-12_000), 4).lag).toBe(0);
  });

  test.each([
    ["of three channels", (head: Buffer) => head.writeUInt8(3, 9)],
    ["of mapping family 1", (head: Buffer) => head.writeUInt8(1, 18)],
    ["of a new major version", (head: Buffer) => head.writeUInt8(16, 8)],
    ["of something else", (head: Buffer) => head.write("vorbis")],
  ])("%s is refused", async (_, spoil) => {
    const found = readPage(pagesOf(oggOpusOf(chirp(0.1)))[0]!, 0);
    if (typeof found === "string") throw new Error(found);
    const body = Buffer.from(found.page.body);
    spoil(body);
    const page = writePage({ ...found.page, body });
    await expect(heard(new OggOpusDecoder(), page)).rejects.toMatchObject({ code: "invalid-media" });
  });
});

describe("Opus that goes", () => {
  test("is decoded by ffmpeg to what was put in, at its level and in its place", async () => {
    const sound = chirp(1.92);
    const encoder = await OggOpusEncoder.create();
    const messages: Buffer[] = [];
    for (let at = 0; at < sound.length; at += 1920)
      messages.push(encoder.encode(sound.subarray(at, at + 1920)));
    encoder.close();
    expect(messages.length).toBe(24);
    const { correlation, gainDb, lag } = likeness(sound, decoded(Buffer.concat(messages)), 40);
    expect(correlation).toBeGreaterThan(0.97);
    expect(Math.abs(gainDb)).toBeLessThan(0.5);
    // Decoders take the pre-skip off: nothing is left of the encoder's delay.
    expect(Math.abs(lag)).toBeLessThanOrEqual(1);
    // The last page says how much there was, at 48 kHz.
    expect(pagesOf(messages.at(-1)!)[0]!.readBigInt64LE(6)).toBe(2n * 24n * 1920n);
  });

  test("wants whole frames", async () => {
    const encoder = await OggOpusEncoder.create();
    expect(() => encoder.encode(new Float32Array(960))).toThrow(/holds 960 elements, expected 1920/);
    encoder.close();
  });
});

describe("raw samples", () => {
  test("come and go as they are, cut anywhere", async () => {
    const values = [0, 1, -1, 255, 256, 32_767, -32_768, 12_345];
    const bytes = Buffer.alloc(2 * values.length);
    for (const [k, value] of values.entries()) bytes.writeInt16LE(value, 2 * k);
    const samples = await heard(new PcmDecoder(), ...[...bytes].map((byte) => Uint8Array.of(byte)));
    expect([...samples].map((sample) => sample * 32_768)).toEqual(values);
    expect(new PcmEncoder().encode(samples)).toEqual(bytes);
  });

  test("beyond full scale are clipped, and those that are none are silence", () => {
    const bytes = new PcmEncoder().encode(
      Float32Array.of(1, 1.5, -1, -7, Number.NaN, Number.POSITIVE_INFINITY),
    );
    expect([0, 2, 4, 6, 8, 10].map((at) => bytes.readInt16LE(at))).toEqual([
      32_767, 32_767, -32_768, -32_768, 0, 32_767,
    ]);
  });
});
