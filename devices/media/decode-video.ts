import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { RuntimeError } from "../../src/core/errors.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";
import { ahead, blocksOf } from "./bytes.ts";
import { Program } from "./child.ts";
import { FFMPEG_REMEDY, type VideoStream } from "./probe.ts";

/** Longer side of the frames that a session works with, pixels. */
const LONGER_SIDE = 320;
/** Frames whose pixels may be here before their stamp is; ffmpeg writes the two to pipes of their own. */
const FRAMES_AHEAD = 4;

export interface DecodeOptions {
  part: string;
  path: string;
  stream: VideoStream;
  signal: AbortSignal;
}

/** What a decoder says when it is done. */
export interface DecodeEnd {
  /** Stamp of the last frame, ms; -1 if there was none. */
  lastMs: number;
  /** ffmpeg's exit status, null if it was killed. */
  status: number | null;
  /** ffmpeg's first error message, "" if none. */
  complaint: string;
}

/**
 * Decodes a file's first picture stream into rgb24 frames of at most 320 pixels on the longer side, as shown (rotation
 * and pixel shape applied), one stamp each as the container has it, from 0. All frames have one size: where the stream
 * changes its own in the middle, the picture is fitted into the first one's and edged with black.
 *
 * Bounded by the pipe: ffmpeg waits while frames are not taken.
 */
export async function* decodeVideo(options: DecodeOptions): AsyncGenerator<VideoFrame, DecodeEnd> {
  const { part, path, stream, signal } = options;
  const { width, height } = frameSize(stream);
  const program = new Program({
    part,
    command: "ffmpeg",
    args: decodeArguments(path, stream, width, height),
    remedy: FFMPEG_REMEDY,
    signal,
    extraPipes: 1,
  });
  const stamps = stampsMs(program.pipes[0]!);
  let lastMs = -1;
  try {
    for await (const rgb of ahead(blocksOf(program.stdout, width * height * 3), FRAMES_AHEAD)) {
      const stamp = await stamps.next();
      if (stamp.done) break;
      // The first frames of a stream with B-frames may carry stamps before 0.
      lastMs = Math.max(0, lastMs, stamp.value);
      yield { captureMs: lastMs, width, height, rgb };
    }
    return { lastMs, status: await program.ended, complaint: program.complaint };
  } finally {
    program.kill();
  }
}

/** The stream's shown size, brought to 320 pixels on the longer side unless it is smaller. */
export function frameSize(stream: VideoStream): { width: number; height: number } {
  const scale = Math.min(1, LONGER_SIDE / Math.max(stream.width, stream.height));
  const pixels = (length: number) => Math.max(1, Math.round(length * scale));
  return { width: pixels(stream.width), height: pixels(stream.height) };
}

function decodeArguments(path: string, stream: VideoStream, width: number, height: number): string[] {
  const square = stream.pixelAspect === 1 ? "" : "scale=trunc(iw*sar):ih,setsar=1,";
  const fit = `scale=${width}:${height}:flags=area:force_original_aspect_ratio=decrease`;
  const graph = `[0:v:0]${square}${fit},pad=${width}:${height}:-1:-1,setsar=1,format=rgb24,split[pixels][stamps]`;
  // One time base of 90 kHz and no frame doubled or dropped, so that each stamp is the container's own.
  const untouched = ["-c:v", "rawvideo", "-vsync", "passthrough", "-enc_time_base", "1:90000"];
  // Flushed after each frame: a stamp that waits in a buffer would hold up its pixels.
  const pixels = [...untouched, "-f", "rawvideo", "-flush_packets", "1", "pipe:1"];
  const stamps = [...untouched, "-f", "framecrc", "-flush_packets", "1", "pipe:3"];
  const input = ["-nostdin", "-v", "error", "-threads", "1", "-i", `file:${path}`];
  return [...input, "-filter_complex", graph, "-map", "[pixels]", ...pixels, "-map", "[stamps]", ...stamps];
}

/** Reads ffmpeg's framecrc lines, "stream, dts, pts, duration, size, checksum" after a head that names the time base. */
async function* stampsMs(pipe: Readable): AsyncGenerator<number> {
  let tickMs = 0;
  for await (const line of createInterface({ input: pipe })) {
    const timeBase = /^#tb \d+: (\d+)\/(\d+)/.exec(line);
    if (timeBase) tickMs = (1000 * Number(timeBase[1])) / Number(timeBase[2]);
    if (line.startsWith("#")) continue;
    const timeMs = Number(line.split(",")[2]) * tickMs;
    if (!Number.isFinite(timeMs)) {
      throw new RuntimeError("invalid-media", {
        part: "ffmpeg",
        problem: `a frame without a time: "${line}"`,
      });
    }
    yield timeMs;
  }
}
