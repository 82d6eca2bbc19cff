import { stat } from "node:fs/promises";
import { RuntimeError } from "../../src/core/errors.ts";
import { Program } from "./child.ts";

/** What to do where ffmpeg is missing. */
export const FFMPEG_REMEDY = "Install ffmpeg: sh deploy/setup.sh, or apt-get install ffmpeg";

/** ffprobe's answer is short; a longer one is not an answer. */
const MAX_ANSWER_CHARS = 1_000_000;

/** Pictures of a file. */
export interface VideoStream {
  /** As shown: after rotation and with square pixels. */
  width: number;
  height: number;
  /** Width of a stored pixel over its height; 1 for square ones. */
  pixelAspect: number;
  /** Null where the container does not say. */
  durationMs: number | null;
}

export interface AudioStream {
  channels: number;
  /** Null where the container does not say. */
  durationMs: number | null;
}

/** What a file holds, the first stream of each kind. */
export interface MediaFile {
  video: VideoStream | null;
  audio: AudioStream | null;
}

/**
 * Looks into a media file with ffprobe.
 *
 * @param part names the asker in messages: "file camera".
 * @throws RuntimeError "missing-file", "missing-program" or, if the file is no media, "invalid-media".
 */
export async function probe(part: string, path: string, signal: AbortSignal): Promise<MediaFile> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) {
    throw new RuntimeError("missing-file", {
      part,
      problem: `${path} is not a file`,
      remedy: "Check the path",
    });
  }
  const program = new Program({
    part,
    command: "ffprobe",
    // Everything, unfiltered: the names that -show_entries knows differ between ffmpeg 4.4 and 5.1.
    args: ["-v", "error", "-show_streams", "-show_format", "-of", "json", `file:${path}`],
    remedy: FFMPEG_REMEDY,
    signal,
  });
  let answer = "";
  for await (const text of program.stdout.setEncoding("utf8")) {
    answer += text;
    if (answer.length > MAX_ANSWER_CHARS) program.kill();
  }
  const status = await program.ended;
  signal.throwIfAborted();
  if (status !== 0) {
    throw new RuntimeError("invalid-media", {
      part,
      problem: `${path} cannot be read as video or sound (${program.complaint || "ffprobe gave up"})`,
      remedy: "Check that the file is whole and that `ffprobe` can open it",
    });
  }
  return parseAnswer(answer);
}

/** The part of ffprobe's JSON that we read. */
interface ProbeStream {
  codec_type?: string;
  channels?: number;
  width?: number;
  height?: number;
  sample_aspect_ratio?: string;
  duration?: string;
  tags?: Record<string, string>;
  disposition?: { attached_pic?: number };
  side_data_list?: { rotation?: number }[];
}

function parseAnswer(answer: string): MediaFile {
  const { streams = [], format = {} } = JSON.parse(answer) as {
    streams?: ProbeStream[];
    format?: { duration?: string };
  };
  // A cover picture in a sound file is not a video.
  const video = streams.find(
    (stream) => stream.codec_type === "video" && stream.disposition?.attached_pic !== 1,
  );
  const audio = streams.find((stream) => stream.codec_type === "audio");
  const durationMs = (stream: ProbeStream) =>
    secondsToMs(stream.duration) ?? clockTimeToMs(stream.tags?.DURATION) ?? secondsToMs(format.duration);
  return {
    video: video ? { ...shownSize(video), durationMs: durationMs(video) } : null,
    audio: audio ? { channels: audio.channels ?? 1, durationMs: durationMs(audio) } : null,
  };
}

/** The size that a player shows: pixels made square, then turned as the file says. */
function shownSize(stream: ProbeStream): Omit<VideoStream, "durationMs"> {
  const [num = 0, den = 0] = (stream.sample_aspect_ratio ?? "").split(":").map(Number);
  const pixelAspect = num > 0 && den > 0 ? num / den : 1;
  const width = (stream.width ?? 0) * pixelAspect;
  const height = stream.height ?? 0;
  const turned = stream.side_data_list?.find((data) => data.rotation !== undefined)?.rotation;
  const degrees = turned ?? Number(stream.tags?.rotate ?? 0);
  const onItsSide = Math.abs(degrees % 180) === 90;
  return onItsSide ? { width: height, height: width, pixelAspect } : { width, height, pixelAspect };
}

function secondsToMs(text: string | undefined): number | null {
  const seconds = Number(text);
  return text !== undefined && Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
}

/** Matroska writes a stream's duration as a tag: "00:01:02.345000000". */
function clockTimeToMs(text: string | undefined): number | null {
  const match = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(text ?? "");
  return match ? (Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3])) * 1000 : null;
}
