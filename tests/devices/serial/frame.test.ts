import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { crc16 } from "../../../devices/serial/crc16.ts";
import { encodeFrame, type Frame, FrameDecoder, MAX_FRAME_BYTES } from "../../../devices/serial/frame.ts";
import {
  type BoardMessage,
  boardMessageOf,
  boardMsBetween,
  frameOfBoard,
  frameOfHost,
  type HostMessage,
  hostMessageOf,
} from "../../../devices/serial/messages.ts";
import { seededRandom } from "../../timeline/random.ts";
import { randomBytes } from "./bytes.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const decoded = (text: string) => new FrameDecoder().push(bytes(text));
const sample: Frame = { kind: "c", seq: 65535, payload: "4294967295 drive speed=-0.25" };

/** The CRC by its definition: the remainder of polynomial division, in integers of any length, one bit at a time. */
function crcByDivision(data: Uint8Array): number {
  const polynomial = 0x11021n;
  // The initial value 0xFFFF is the same as inverting the first 16 bits.
  let message = 0n;
  for (const byte of data) message = (message << 8n) | BigInt(byte);
  const length = BigInt(8 * data.length + 16);
  message = (message << 16n) ^ (0xffffn << (length - 16n));
  for (let bit = length - 1n; bit >= 16n; bit--) {
    if ((message >> bit) & 1n) message ^= polynomial << (bit - 16n);
  }
  return Number(message);
}

describe("crc16", () => {
  test("gives the catalogue's check value", () => {
    expect(crc16(bytes("123456789"))).toBe(0x29b1);
  });

  test("gives the published values of other messages", () => {
    // https://reveng.sourceforge.io/crc-catalogue/16.htm: the empty message leaves the initial value.
    expect(crc16(bytes(""))).toBe(0xffff);
    expect(crc16(bytes("A"))).toBe(0xb915);
  });

  test("is the remainder of the division by its polynomial", () => {
    const random = seededRandom(1);
    for (let length = 2; length < 60; length++) {
      const data = randomBytes(random, length);
      expect(crc16(data)).toBe(crcByDivision(data));
    }
  });
});

describe("a frame", () => {
  test("comes back as it was", () => {
    expect(new FrameDecoder().push(encodeFrame(sample))).toEqual([sample]);
    expect(new FrameDecoder().push(encodeFrame({ kind: "s", seq: 0, payload: "" }))).toHaveLength(1);
  });

  test("comes back from pieces of any size", () => {
    const line = encodeFrame(sample);
    for (let size = 1; size <= line.length; size++) {
      const decoder = new FrameDecoder();
      const frames: Frame[] = [];
      for (let at = 0; at < line.length; at += size)
        frames.push(...decoder.push(line.subarray(at, at + size)));
      expect(frames).toEqual([sample]);
    }
  });

  test("with any one bit turned over is none", () => {
    const line = encodeFrame(sample);
    for (let bit = 0; bit < 8 * line.length; bit++) {
      const hurt = Buffer.from(line);
      hurt[bit >> 3]! ^= 1 << (bit & 7);
      const decoder = new FrameDecoder();
      // A line feed that was hurt holds up its line; the next `$` ends it.
      const frames = decoder.push(Buffer.concat([hurt, encodeFrame({ ...sample, seq: 7 })]));
      expect(frames.filter(({ seq }) => seq !== 7)).toEqual([]);
    }
  });

  test.each([
    ["two cut lines", "$h 1 22$h 1 2", 2],
    ["a wrong CRC", "$h 1 22*0000\n", 1],
    ["a CRC in small letters", encodeFrame(sample).toString().toLowerCase().replace("\n", "\n"), 1],
    ["no CRC", "$h 1 22\n", 1],
    ["a line that is too long", `$${"x".repeat(200)}\n`, 1],
    ["a sequence number out of range", "$h 70000 1*0000\n", 1],
  ])("%s: is dropped and counted, and the next one is read", (_, text, bad) => {
    const decoder = new FrameDecoder();
    expect(decoder.push(bytes(text))).toEqual([]);
    expect(decoder.push(encodeFrame(sample))).toEqual([sample]);
    expect(decoder.badFrames).toBe(bad);
  });

  test("is found in noise, and the noise is counted", () => {
    const random = seededRandom(2);
    const decoder = new FrameDecoder();
    let found = 0;
    for (let round = 0; round < 500; round++) {
      const noise = randomBytes(random, Math.floor(random() * 300));
      found += decoder.push(Buffer.concat([noise, encodeFrame(sample)])).length;
    }
    expect(found).toBe(500);
    expect(decoder.noiseBytes).toBeGreaterThan(1000);
  });

  test("of the greatest length is taken, one byte more is refused", () => {
    const payload = "x".repeat(MAX_FRAME_BYTES - "$l 65535 *FFFF\n".length);
    const longest = { kind: "l", seq: 65535, payload };
    expect(encodeFrame(longest)).toHaveLength(MAX_FRAME_BYTES);
    expect(new FrameDecoder().push(encodeFrame(longest))).toEqual([longest]);
    expect(() => encodeFrame({ ...longest, payload: `${payload}x` })).toThrow(/cannot be sent/);
  });

  test.each(["a$b", "a*b", "é", "a\nb"])("does not carry %j", (payload) => {
    expect(() => encodeFrame({ kind: "l", seq: 1, payload })).toThrow(/printable ASCII/);
  });
});

describe("a message", () => {
  const fromHost: HostMessage[] = [
    { kind: "open", seq: 1, nonce: 4_294_967_295, timeoutMs: 500 },
    { kind: "heartbeat", seq: 2, boardMs: 0 },
    { kind: "command", seq: 3, deadlineMs: 17, name: "drive", args: { speed: -0.25, turn: 0 } },
    { kind: "command", seq: 3, deadlineMs: 17, name: "halt", args: {} },
    { kind: "stop", seq: 65535 },
  ];
  const fromBoard: BoardMessage[] = [
    { kind: "ready", seq: 1, nonce: 9, boardMs: 8, timeoutMs: 500, version: 1, name: "a robot" },
    { kind: "heartbeat", seq: 2, boardMs: 4_294_967_295, state: "stopped" },
    { kind: "ack", seq: 3, result: "expired" },
    { kind: "line", seq: 4, text: "range 2.5" },
  ];

  test.each(fromHost)("of the host comes back: %j", (message) => {
    expect(hostMessageOf(frameOfHost(message))).toEqual(message);
  });

  test.each(fromBoard)("of the board comes back: %j", (message) => {
    expect(boardMessageOf(frameOfBoard(message))).toEqual(message);
  });

  test.each(["o 1 2", "h 1 x", "c 1 5 Drive", "c 1 5 drive speed=1e3", "c 1 5 drive =1", "x 1", "a 1 ok"])(
    "that the host does not say is none: %s",
    (text) => {
      const [kind = "", seq, ...rest] = text.split(" ");
      expect(hostMessageOf({ kind, seq: Number(seq), payload: rest.join(" ") })).toBeNull();
    },
  );

  test("has values of four decimals", () => {
    const args = { a: 1 / 3, b: -2e-7 };
    expect(frameOfHost({ kind: "command", seq: 1, deadlineMs: 5, name: "x", args }).payload).toBe(
      "5 x a=0.3333 b=0",
    );
  });

  test("counts board time modulo 2^32", () => {
    expect(boardMsBetween(5, 4_294_967_290)).toBe(11);
    expect(boardMsBetween(4_294_967_290, 5)).toBe(-11);
  });
});

describe("deploy/firmware/README.md", () => {
  const page = readFileSync(new URL("../../../deploy/firmware/README.md", import.meta.url), "utf8");

  test("shows lines that are right, from both ends", () => {
    const lines = [...page.matchAll(/^(host|board) +(\$\S.*\*[0-9A-F]{4})$/gm)];
    expect(lines.length).toBeGreaterThanOrEqual(9);
    for (const [, end, line] of lines) {
      const [frame] = decoded(`${line}\n`);
      expect(frame, line).toBeDefined();
      expect((end === "host" ? hostMessageOf : boardMessageOf)(frame!), line).not.toBeNull();
    }
  });
});
