/** One way in which a V4L2 camera can send pictures. */
export interface VideoMode {
  /** V4L2's name of the pixel format: "YUYV", "MJPG". */
  fourcc: string;
  width: number;
  height: number;
  framesPerSecond: number;
}

/** What is wanted of a camera. */
export interface WantedVideo {
  width: number;
  height: number;
  framesPerSecond: number;
}

/** ffmpeg's name (-input_format) for the formats that it takes from V4L2, the cheaper to decode first. */
const FFMPEG_FORMATS: Readonly<Record<string, string>> = {
  YUYV: "yuyv422",
  UYVY: "uyvy422",
  NV12: "nv12",
  YU12: "yuv420p",
  RGB3: "rgb24",
  BGR3: "bgr24",
  MJPG: "mjpeg",
  H264: "h264",
};
const COMPRESSED = ["MJPG", "H264"];

/** ffmpeg's name of a mode's format. */
export function ffmpegFormat({ fourcc }: VideoMode): string {
  return FFMPEG_FORMATS[fourcc]!;
}

/** Reads the answer of `v4l2-ctl --list-formats-ext`. Modes in formats that ffmpeg does not take are left out. */
export function parseModes(answer: string): VideoMode[] {
  const modes: VideoMode[] = [];
  let fourcc = "";
  let [width, height] = [0, 0];
  for (const line of answer.split("\n")) {
    fourcc = /^\s*\[\d+\]: '(.{4})'/.exec(line)?.[1] ?? fourcc;
    const size = /Size: Discrete (\d+)x(\d+)/.exec(line);
    if (size) [width, height] = [Number(size[1]), Number(size[2])];
    const rate = /Interval: Discrete .*\((\d+(?:\.\d+)?) fps\)/.exec(line);
    if (rate && fourcc in FFMPEG_FORMATS && width > 0) {
      modes.push({ fourcc, width, height, framesPerSecond: Number(rate[1]) });
    }
  }
  return modes;
}

/**
 * The mode that gives what is wanted with the least work: large and fast enough if there is one, the smallest such
 * picture, uncompressed rather than MJPEG, the slowest such rate. Null if there are no modes.
 */
export function chooseMode(modes: readonly VideoMode[], wanted: WantedVideo): VideoMode | null {
  /** Lower is better, compared from left to right. */
  const cost = (mode: VideoMode): number[] => {
    const tooSmall = Math.max(0, wanted.width * wanted.height - mode.width * mode.height);
    const tooSlow = Math.max(0, wanted.framesPerSecond - mode.framesPerSecond);
    const compressed = COMPRESSED.indexOf(mode.fourcc) + 1;
    return [tooSlow, tooSmall, mode.width * mode.height, compressed, mode.framesPerSecond];
  };
  const [best] = [...modes].sort((a, b) => compare(cost(a), cost(b)));
  return best ?? null;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
