import { RuntimeError } from "../../src/core/errors.ts";
import { crc16 } from "./crc16.ts";

/**
 * One line on the wire: `$KIND SEQ PAYLOAD*CRC\n`. KIND is one lower-case letter, SEQ a decimal number, PAYLOAD
 * printable ASCII without `$` and `*`, CRC the CRC-16/CCITT-FALSE of all between `$` and `*` in four upper-case hex
 * digits. Without a payload the space before it is left out too.
 */
export interface Frame {
  kind: string;
  /** 0 to 65535. */
  seq: number;
  payload: string;
}

/** Longest line in bytes, from `$` to the line feed: a small board keeps one in a fixed buffer. */
export const MAX_FRAME_BYTES = 128;

const BODY = /^([a-z]) (0|[1-9]\d{0,4})(?: ([\x20-\x23\x25-\x29\x2b-\x7e]+))?$/;

/** @throws RuntimeError "invalid-argument" for what no frame can carry. */
export function encodeFrame({ kind, seq, payload }: Frame): Buffer {
  const body = payload === "" ? `${kind} ${seq}` : `${kind} ${seq} ${payload}`;
  const line = `$${body}*${hex(crc16(Buffer.from(body, "latin1")))}\n`;
  if (!BODY.test(body) || seq > 0xffff || line.length > MAX_FRAME_BYTES) {
    throw new RuntimeError("invalid-argument", {
      part: "serial frame",
      problem: `a payload of ${payload.length} characters cannot be sent`,
      remedy: `Send printable ASCII without $ and *, ${MAX_FRAME_BYTES - 15} characters at most`,
    });
  }
  return Buffer.from(line, "latin1");
}

/**
 * Finds the frames in a stream of bytes. A `$` always begins a line anew, so noise or a cut line costs no more than the
 * line it falls into; whatever is no frame with the right CRC is dropped and counted.
 */
export class FrameDecoder {
  /** Lines that began as a frame and were none: cut, too long, not well formed, or of a wrong CRC. */
  badFrames = 0;
  /** Bytes outside of frames. */
  noiseBytes = 0;
  readonly #line = Buffer.alloc(MAX_FRAME_BYTES);
  /** Bytes of the line in hand; 0 before its `$`. */
  #length = 0;

  /** @param bytes borrowed. */
  push(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    for (const byte of bytes) {
      const frame = this.#take(byte);
      if (frame) frames.push(frame);
    }
    return frames;
  }

  #take(byte: number): Frame | null {
    if (byte === DOLLAR) {
      if (this.#length > 0) this.badFrames++;
      this.#line[0] = byte;
      this.#length = 1;
      return null;
    }
    if (this.#length === 0) {
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) this.noiseBytes++;
      return null;
    }
    if (this.#length === MAX_FRAME_BYTES) {
      this.badFrames++;
      this.#length = 0;
      return null;
    }
    this.#line[this.#length++] = byte;
    if (byte !== LINE_FEED) return null;
    const frame = parseLine(this.#line.subarray(0, this.#length));
    this.#length = 0;
    if (frame === null) this.badFrames++;
    return frame;
  }
}

const DOLLAR = 0x24;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** A frame from its line, `$` and line feed included; null if it is none. A carriage return before the line feed is borne. */
function parseLine(line: Buffer): Frame | null {
  const text = line.toString("latin1");
  const [, body, crc] = /^\$([^*]*)\*([0-9A-F]{4})\r?\n$/.exec(text) ?? [];
  const [, kind, digits, payload] = BODY.exec(body ?? "") ?? [];
  if (body === undefined || kind === undefined || Number(digits) > 0xffff) return null;
  if (hex(crc16(Buffer.from(body, "latin1"))) !== crc) return null;
  return { kind, seq: Number(digits), payload: payload ?? "" };
}

function hex(crc: number): string {
  return crc.toString(16).toUpperCase().padStart(4, "0");
}
