import { CompressedImage, Log, RawAudio } from "@foxglove/schemas/jsonschema.js";
import type { Channel } from "./mcap-file.ts";

/** Places of the topics in CHANNELS. */
export const MICROPHONE = 0;
export const CAMERA = 1;
export const SPEAKER = 2;
export const LOG = 3;
export const MICRO_TURNS = 4;

const number = { type: "number" };
const list = (items: object) => ({ type: "array", items });

/** One step of the model: what it took in, and what it chose. Sound and pictures stand before it, on their own topics. */
const stepSchema = {
  title: "microturn.Step",
  type: "object",
  properties: {
    microTurn: { type: "integer", description: "the last micro-turn taken in" },
    stepMs: { ...number, description: "machine time of the step, ms" },
    late: { type: "boolean", description: "not done when the next interval closed" },
    savings: list({ type: "string" }),
    inputs: list({
      type: "object",
      properties: {
        index: { type: "integer" },
        startMs: number,
        durationMs: number,
        audio: { type: "boolean", description: "true if the interval's sound stands on /microphone" },
        frames: { ...list(number), description: "capture times of the pictures on /camera, ms" },
        events: list({ type: "object" }),
      },
    }),
    tokens: { ...list({ type: "integer" }), description: "every token that the model chose" },
    parts: list({ type: "object" }),
    unfinished: { type: "boolean" },
  },
};

/**
 * The topics of a recording, in Foxglove's schemas where there is one: lists of panels play, show and plot them as they
 * are. A field beside those of the schema carries what a replay needs exactly: `exact` (base64, f32 little-endian) where
 * 16-bit samples would round, `event` for what the session told.
 */
export const CHANNELS: readonly Channel[] = [
  { topic: "/microphone", schemaName: "foxglove.RawAudio", schema: RawAudio },
  { topic: "/camera", schemaName: "foxglove.CompressedImage", schema: CompressedImage },
  { topic: "/speaker", schemaName: "foxglove.RawAudio", schema: RawAudio },
  { topic: "/log", schemaName: "foxglove.Log", schema: Log },
  { topic: "/micro-turns", schemaName: "microturn.Step", schema: stepSchema },
];

/** Foxglove's log levels. */
export const LEVEL = { info: 2, warning: 3 } as const;

/** Session time as nanoseconds since 1970. @param originMs wall time of session time 0, ms since 1970. */
export function timeNs(originMs: number, sessionMs: number): bigint {
  return BigInt(Math.max(0, Math.round((originMs + sessionMs) * 1000))) * 1000n;
}

/** A time as the schemas write it. */
export function timestamp(ns: bigint): { sec: number; nsec: number } {
  return { sec: Number(ns / 1_000_000_000n), nsec: Number(ns % 1_000_000_000n) };
}
