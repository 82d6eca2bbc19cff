import type { Clock } from "../src/core/clock.ts";
import type { Source, Speaker } from "../src/core/device.ts";
import { gstCommand, modesOf, takenSize, v4l2Command } from "./camera/camera-commands.ts";
import { LiveCamera } from "./camera/live-camera.ts";
import type { Orientation } from "./camera/orientation.ts";
import type { WantedVideo } from "./camera/v4l2-modes.ts";
import { Program, type ProgramOptions } from "./media/child.ts";
import { isChatter, reportReader } from "./media/player-reports.ts";
import { FFMPEG_REMEDY } from "./media/probe.ts";
import { captureCommand, filledIn, playbackCommand, soundDeviceOf, toolRemedy } from "./media/sound-tools.ts";
import { LiveMicrophone } from "./microphone/live-microphone.ts";
import { LiveSpeaker } from "./speaker/live-speaker.ts";

/** Sound that a microphone's chunk holds, ms: how long the first sample waits for the last. */
const CHUNK_MS = 10;
/**
 * What a silent device is taken to need from the first sample until it sounds, ms: a period of its own and the way through
 * the tool. Where the tool reports, this is the least that is held beside the buffer.
 */
const START_MS = 10;
const REPORTED_START_MS = 5;

export interface LiveCameraSettings extends WantedVideo, Orientation {
  /** In place of ffmpeg or GStreamer: writes rgb24 pictures of {width} x {height} to its stdout. */
  command?: readonly string[] | undefined;
}

export interface LiveMicrophoneSettings {
  /** The model's rate if absent. */
  sampleRateHz?: number | undefined;
  channels: number;
  latencyMs: number;
  /** In place of parec, arecord or pw-record: writes 16-bit little-endian PCM to its stdout. */
  command?: readonly string[] | undefined;
}

export interface LiveSpeakerSettings {
  sampleRateHz: number;
  channels: number;
  bufferMs: number;
  /** In place of pacat, aplay or pw-play: plays the 16-bit little-endian PCM that it reads from its stdin. */
  command?: readonly string[] | undefined;
}

/** The camera that `v4l2:PATH` or `gst:PIPELINE` names; null if `spec` is neither. */
export function liveCamera(spec: string, settings: LiveCameraSettings): Source | null {
  const [, scheme, device] = /^(v4l2|gst):(.+)$/s.exec(spec) ?? [];
  if (!scheme || !device) return null;
  const name = scheme === "gst" ? "camera gst" : `camera ${spec}`;
  const { width, height } = takenSize(settings);
  const values = { device, width, height, rate: settings.framesPerSecond };
  const command = async () => {
    if (settings.command) return filledIn(name, settings.command, values);
    return scheme === "gst"
      ? gstCommand(device, settings)
      : v4l2Command(device, await modesOf(device), settings);
  };
  const remedy =
    scheme === "gst" ? "Install gstreamer1.0-tools, or set devices.camera.command" : FFMPEG_REMEDY;
  return new LiveCamera({
    ...settings,
    name,
    width,
    height,
    launch: async (signal) => launched(name, await command(), remedy, signal),
    remedy:
      scheme === "gst"
        ? "Try the pipeline with gst-launch-1.0"
        : "See microturn devices; the user needs the group video",
  });
}

/** The microphone that `pulse:NAME`, `alsa:NAME` or `pipewire:NAME` names, or null. @param modelRateHz its rate, Hz. */
export function liveMicrophone(
  spec: string,
  modelRateHz: number,
  settings: LiveMicrophoneSettings,
): Source | null {
  const device = soundDeviceOf(spec);
  if (!device) return null;
  const name = `microphone ${spec}`;
  const { channels, latencyMs, sampleRateHz = modelRateHz } = settings;
  const format = { sampleRateHz, channels, bufferMs: CHUNK_MS };
  const values = { device: device.name, rate: sampleRateHz, channels };
  const words = settings.command ? filledIn(name, settings.command, values) : captureCommand(device, format);
  return new LiveMicrophone({
    name,
    sampleRateHz,
    channels,
    latencyMs,
    launch: (signal) => launched(name, words, toolRemedy(device), signal),
    remedy: "See microturn devices; without a sound server the user needs the group audio",
  });
}

/** The speaker that `pulse:NAME`, `alsa:NAME` or `pipewire:NAME` names, or null. */
export function liveSpeaker(spec: string, clock: Clock, settings: LiveSpeakerSettings): Speaker | null {
  const device = soundDeviceOf(spec);
  if (!device) return null;
  const name = `speaker ${spec}`;
  const { sampleRateHz: rate, channels, bufferMs } = settings;
  const words = settings.command
    ? filledIn(name, settings.command, { device: device.name, rate, channels, bufferMs })
    : playbackCommand(device, settings);
  const reports = settings.command === undefined;
  return new LiveSpeaker({
    ...settings,
    name,
    clock,
    startMs: reports ? REPORTED_START_MS : START_MS,
    reports,
    launch: (signal, reported) => {
      const read = reportReader(device.scheme);
      const takesLine = (line: string) => {
        const report = read(line);
        if (report) reported(report);
        return report !== null || isChatter(line);
      };
      const options = { fed: true, ...(reports ? { takesLine } : {}) };
      return launched(name, words, toolRemedy(device), signal, options);
    },
    remedy: "See microturn devices; without a sound server the user needs the group audio",
  });
}

function launched(
  part: string,
  [command = "", ...args]: readonly string[],
  remedy: string,
  signal: AbortSignal,
  options: Pick<ProgramOptions, "fed" | "takesLine"> = {},
): Program {
  return new Program({ ...options, part, command, args, remedy, signal });
}
