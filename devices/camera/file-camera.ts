import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { type DecodeEnd, decodeVideo } from "../media/decode-video.ts";
import { endedEarly } from "../media/ended-early.ts";
import { probe, type VideoStream } from "../media/probe.ts";

const PART = "file camera";

/**
 * A video file as a camera: any container, codec and frame rate that ffmpeg reads, each frame at its own time in the
 * file. Fails with "missing-file", "missing-program", or "invalid-media" for a file that is corrupt, has no pictures,
 * or ends before the length it announces; what came before the end has been given by then.
 */
export class FileCamera implements Source {
  readonly kind = "video";
  readonly recorded = true;
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.name = `${PART} ${path}`;
  }

  async *open(_clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const { video } = await probe(PART, this.#path, signal);
    if (!video || !(video.width > 0 && video.height > 0)) {
      throw new RuntimeError("invalid-media", {
        part: PART,
        problem: `${this.#path} holds no video stream`,
        remedy: "Give a video; sound alone goes to --microphone",
      });
    }
    const frames = decodeVideo({ part: PART, path: this.#path, stream: video, signal });
    try {
      let next = await frames.next();
      for (; !next.done; next = await frames.next()) yield { kind: "frame", ...next.value };
      if (!signal.aborted) this.#judge(next.value, video);
    } finally {
      await frames.return({ lastMs: -1, status: null, complaint: "" });
    }
  }

  #judge(end: DecodeEnd, video: VideoStream): void {
    if (end.lastMs < 0) {
      throw new RuntimeError("invalid-media", {
        part: PART,
        problem: `${this.#path} holds no frame that can be decoded${end.complaint && ` (${end.complaint})`}`,
        remedy: "Check the file with a video player",
      });
    }
    const fault = endedEarly({ part: PART, path: this.#path, atMs: end.lastMs, ...video, ...end });
    if (fault) throw fault;
  }
}
