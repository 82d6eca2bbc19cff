import type { Clock } from "../src/core/clock.ts";
import type { Source, Speaker, Voice } from "../src/core/device.ts";
import { RuntimeError } from "../src/core/errors.ts";
import { FileCamera } from "./camera/file-camera.ts";
import {
  type LiveCameraSettings,
  type LiveMicrophoneSettings,
  type LiveSpeakerSettings,
  liveCamera,
  liveMicrophone,
  liveSpeaker,
} from "./live-devices.ts";
import { FileMicrophone } from "./microphone/file-microphone.ts";
import { fakePort } from "./serial/fake-port.ts";
import { systemPort } from "./serial/port.ts";
import { SerialBoard } from "./serial/serial-board.ts";
import { NullSpeaker } from "./speaker/null-speaker.ts";
import { WavSpeaker } from "./speaker/wav-speaker.ts";
import { Keyboard } from "./text/keyboard.ts";
import { type TypedText, TypedTexts } from "./text/typed-text.ts";
import { EspeakVoice } from "./voice/espeak-voice.ts";
import { FakeVoice } from "./voice/fake-voice.ts";

export type { SerialBoard } from "./serial/serial-board.ts";
export type { TypedText } from "./text/typed-text.ts";

/** The forms of a live microphone or speaker, for messages. */
const SOUND_FORMS = "pulse:NAME, alsa:NAME, pipewire:NAME";

/**
 * The camera that a SRC of the command line names: `file:PATH`, `v4l2:PATH`, `gst:PIPELINE`, or `none` for null.
 * @param settings of a live camera.
 * @throws RuntimeError "invalid-argument" for another form; the device or file itself is looked at when the session opens
 * it.
 */
export function cameraFrom(spec: string, settings: LiveCameraSettings): Source | null {
  if (spec === "none") return null;
  return liveCamera(spec, settings) ?? new FileCamera(pathOf("camera", spec, "v4l2:PATH, gst:PIPELINE"));
}

/**
 * The microphone that a SRC names, at the model's rate: `file:PATH` (sound or video), `pulse:NAME`, `alsa:NAME`,
 * `pipewire:NAME`, or `none` for null.
 * @param settings of a live microphone.
 */
export function microphoneFrom(
  spec: string,
  sampleRateHz: number,
  settings: LiveMicrophoneSettings,
): Source | null {
  if (spec === "none") return null;
  const live = liveMicrophone(spec, sampleRateHz, settings);
  return live ?? new FileMicrophone(pathOf("microphone", spec, SOUND_FORMS), sampleRateHz);
}

/**
 * The speaker that a SINK names: `file:PATH` for a WAV file, `pulse:NAME`, `alsa:NAME`, `pipewire:NAME`, or `none` for
 * one that is silent but keeps time.
 * @param settings of a live speaker.
 * @throws RuntimeError "invalid-argument" for another form, "output-failed" if the file cannot be made.
 */
export function speakerFrom(spec: string, clock: Clock, settings: LiveSpeakerSettings): Speaker {
  if (spec === "none") return new NullSpeaker(clock);
  return liveSpeaker(spec, clock, settings) ?? new WavSpeaker(pathOf("speaker", spec, SOUND_FORMS), clock);
}

/** The voice: `espeak`, `espeak:LANGUAGE`, or `fake` for tones of fixed length. */
export function voiceFrom(spec: string): Voice {
  if (spec === "fake") return new FakeVoice();
  if (spec === "espeak") return new EspeakVoice();
  if (spec.startsWith("espeak:")) return new EspeakVoice({ language: spec.slice("espeak:".length) });
  throw new RuntimeError("invalid-argument", {
    part: "voice",
    problem: `"${spec}" is not a voice`,
    remedy: "Use espeak, espeak:LANGUAGE, moshi:FOLDER or fake",
  });
}

export interface SerialOptions {
  /** Path of a port, `fake` for a robot that needs no hardware, or `none`. */
  port: string;
  baud: number;
  heartbeatMs: number;
  commandMs: number;
}

/**
 * The board on a serial port, which takes `commands`; null for the port `none`. The port itself is opened with the
 * session, and again whenever it is lost.
 * @throws RuntimeError "invalid-configuration" for a real port in virtual time.
 */
export function serialFrom(
  options: SerialOptions,
  commands: readonly string[],
  clock: Clock,
): SerialBoard | null {
  const { port, baud, heartbeatMs, commandMs } = options;
  if (port === "none") return null;
  if (port !== "fake" && clock.kind === "virtual") {
    throw new RuntimeError("invalid-configuration", {
      part: "serial",
      problem: `${port} lives in real time, and the session does not`,
      remedy: "Use --clock real, or port: fake",
    });
  }
  const open = port === "fake" ? fakePort(clock) : systemPort(port, baud);
  return new SerialBoard({ port, open, heartbeatMs, commandMs, commands });
}

/** Texts typed at given times. */
export function typedText(texts: readonly TypedText[]): Source {
  return new TypedTexts(texts);
}

/** Lines typed into a stream, such as process.stdin, as they come. */
export function keyboard(input: NodeJS.ReadableStream): Source {
  return new Keyboard(input);
}

/** @param liveForms the other forms that there are, for the message. */
function pathOf(part: string, spec: string, liveForms: string): string {
  const path = spec.startsWith("file:") ? spec.slice("file:".length) : "";
  if (path !== "") return path;
  throw new RuntimeError("invalid-argument", {
    part,
    problem: `'${spec}' is no device`,
    remedy: `Give file:PATH, ${liveForms} or none`,
  });
}
