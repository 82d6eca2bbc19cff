import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { chooseMode, ffmpegFormat, parseModes, type VideoMode, type WantedVideo } from "./v4l2-modes.ts";

/** Longer side of the pictures that a session works with, pixels. */
const LONGER_SIDE = 320;
/** Asking a camera for its modes takes a moment; one that hangs is not waited for, ms. */
const MODES_MS = 3000;

/** The size in which pictures are taken over: the wanted shape, at most 320 pixels on the longer side. */
export function takenSize({ width, height }: WantedVideo): { width: number; height: number } {
  const scale = Math.min(1, LONGER_SIDE / Math.max(width, height));
  // In fours: GStreamer pads each row of RGB to a multiple of four bytes.
  const pixels = (length: number) => Math.max(4, 4 * Math.round((length * scale) / 4));
  return { width: pixels(width), height: pixels(height) };
}

/** The modes of a V4L2 camera, none if v4l2-ctl is missing or the camera does not say. */
export async function modesOf(path: string): Promise<VideoMode[]> {
  const listing = promisify(execFile)("v4l2-ctl", ["--device", path, "--list-formats-ext"], {
    timeout: MODES_MS,
  });
  return listing.then(
    ({ stdout }) => parseModes(stdout),
    // The camera itself will say what is wrong when it is opened.
    () => [],
  );
}

/**
 * ffmpeg on a V4L2 camera, in the mode that suits what is wanted best; without modes the driver chooses. Whatever size
 * comes is fitted into the one that is taken over, edged with black.
 */
export function v4l2Command(path: string, modes: readonly VideoMode[], wanted: WantedVideo): string[] {
  const mode = chooseMode(modes, wanted);
  const form = mode
    ? ["-input_format", ffmpegFormat(mode), "-video_size", `${mode.width}x${mode.height}`]
    : [];
  const rate = mode ? ["-framerate", String(mode.framesPerSecond)] : [];
  const { width, height } = takenSize(wanted);
  const fit = `scale=${width}:${height}:flags=area:force_original_aspect_ratio=decrease`;
  const graph = `${fit},pad=${width}:${height}:-1:-1,setsar=1,format=rgb24`;
  const input = ["-f", "v4l2", ...form, ...rate, "-i", path];
  // Frames as they come, each flushed: neither doubled nor dropped nor held back.
  const output = ["-vf", graph, "-vsync", "passthrough", "-f", "rawvideo", "-flush_packets", "1", "pipe:1"];
  const quick = ["-nostdin", "-v", "error", "-fflags", "nobuffer", "-threads", "1"];
  return ["ffmpeg", ...quick, ...input, ...output];
}

/** GStreamer on a pipeline that ends in raw video, such as `nvarguscamerasrc ! nvvidconv ! video/x-raw,format=RGBA`. */
export function gstCommand(pipeline: string, wanted: WantedVideo): string[] {
  const { width, height } = takenSize(wanted);
  const form = `video/x-raw,format=RGB,width=${width},height=${height},pixel-aspect-ratio=1/1`;
  // Of pictures that wait for a slow reader the newest stays.
  const taken = `queue leaky=downstream max-size-buffers=1 ! videoconvert ! videoscale add-borders=true ! ${form}`;
  // A shell would split the same way: gst-launch joins its arguments and parses the line itself.
  return ["gst-launch-1.0", "-q", ...`${pipeline} ! ${taken} ! fdsink fd=1 sync=false`.split(/\s+/)];
}
