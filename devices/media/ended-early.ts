import { RuntimeError } from "../../src/core/errors.ts";

/** A stream may stop this much before the length its container announces: edit lists and tags are not exact, ms. */
const TOLERANCE_MS = 1000;

export interface StreamEnd {
  part: string;
  path: string;
  /** Time of the last thing decoded, ms. */
  atMs: number;
  /** The length that the container announces, null if none. */
  durationMs: number | null;
  /** ffmpeg's exit status, null if it was killed. */
  status: number | null;
  /** ffmpeg's first error message, "" if none. */
  complaint: string;
}

/** The error for a recording that was cut off, or null if it ended as it should. */
export function endedEarly(end: StreamEnd): RuntimeError | null {
  const missingMs = (end.durationMs ?? 0) - end.atMs;
  // A length that is merely announced wrongly comes without an error message.
  const cutOff = missingMs > TOLERANCE_MS && end.complaint !== "";
  if (!cutOff && end.status === 0) return null;
  const seconds = (timeMs: number) => (timeMs / 1000).toFixed(1);
  const announced = end.durationMs === null ? "" : ` of ${seconds(end.durationMs)} s`;
  return new RuntimeError("invalid-media", {
    part: end.part,
    problem: `${end.path} ended early, after ${seconds(end.atMs)} s${announced} (${end.complaint || "ffmpeg failed"})`,
    remedy: "The file is damaged or was not copied whole: copy it again",
  });
}
