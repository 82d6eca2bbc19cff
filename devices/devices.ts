import type { Clock } from "../src/core/clock.ts";
import type { Source, Speaker, Voice } from "../src/core/device.ts";
import { RuntimeError } from "../src/core/errors.ts";

/**
 * The camera that a SRC of the command line names: `file:PATH`, or `none` for null.
 * @throws RuntimeError "invalid-argument" for another form; the file itself is looked at when the session opens it.
 */
export function cameraFrom(spec: string): Source | null {
  return spec === "none" ? null : notYet("camera", spec);
}

/** The microphone that a SRC names, at the model's rate: `file:PATH` (sound or video), or `none` for null. */
export function microphoneFrom(spec: string, _sampleRateHz: number): Source | null {
  return spec === "none" ? null : notYet("microphone", spec);
}

/** The speaker that a SINK names: `file:PATH.wav`, or `none` for one that is silent but keeps time. */
export function speakerFrom(spec: string, _clock: Clock): Speaker {
  return notYet("speaker", spec);
}

/** The voice: `espeak`, `espeak:LANGUAGE`, or `fake` for tones of fixed length. */
export function voiceFrom(spec: string): Voice {
  return notYet("voice", spec);
}

/** One typed text. */
export interface TypedText {
  /** Session time, seconds. */
  seconds: number;
  text: string;
}

/** Texts typed at given times. */
export function typedText(_texts: readonly TypedText[]): Source {
  return notYet("typed text", "");
}

/** Lines typed into a stream, such as process.stdin, as they come. */
export function keyboard(_input: NodeJS.ReadableStream): Source {
  return notYet("keyboard", "");
}

function notYet(part: string, spec: string): never {
  throw new RuntimeError("invalid-argument", { part, problem: `"${spec}" is not known` });
}
