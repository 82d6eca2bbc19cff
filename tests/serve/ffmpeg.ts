import { execFileSync } from "node:child_process";

/** ffmpeg is the other side of these tests: its Ogg, libopus for encoding, an Opus decoder of its own for decoding. */
function ffmpeg(input: Buffer | undefined, ...args: string[]): Buffer {
  return execFileSync("ffmpeg", ["-nostdin", "-loglevel", "error", ...args], {
    ...(input === undefined ? {} : { input }),
    maxBuffer: 1 << 28,
  });
}

export interface Encoding {
  /** Length of a packet, ms: 2.5, 5, 10, 20, 40 or 60. */
  frameMs?: number;
  /** At most so much sound on a page, ms. */
  pageMs?: number;
  channels?: number;
}

/** Encodes mono f32 at 24 kHz as an Ogg-Opus stream. */
export function oggOpusOf(
  pcm: Float32Array,
  { frameMs = 20, pageMs = 40, channels = 1 }: Encoding = {},
): Buffer {
  const input = Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  const codec = [
    "-c:a",
    "libopus",
    "-b:a",
    "48k",
    "-frame_duration",
    String(frameMs),
    "-ac",
    String(channels),
  ];
  return ffmpeg(
    input,
    ...["-f", "f32le", "-ar", "24000", "-ac", "1", "-i", "-", ...codec],
    ...["-page_duration", String(pageMs * 1000), "-f", "ogg", "-"],
  );
}

/** Decodes any stream to mono f32 at 24 kHz. */
export function decoded(stream: Buffer): Float32Array {
  const bytes = ffmpeg(stream, "-i", "-", "-ar", "24000", "-ac", "1", "-f", "f32le", "-");
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

/** Length in bytes of each packet of a stream, as ffprobe sees them; headers are not counted. */
export function packetSizes(stream: Buffer): number[] {
  const args = ["-loglevel", "error", "-show_entries", "packet=size", "-of", "csv=p=0", "-"];
  const lines = execFileSync("ffprobe", args, { input: stream, encoding: "utf8" });
  return (
    lines
      .split("\n")
      .filter((line) => line !== "")
      // Side data of a packet follow its size.
      .map((line) => Number.parseInt(line, 10))
  );
}
