import { z } from "zod";
import type { InputEvent, MicroTurnInput, MicroTurnOutput, OutputPart } from "../core/micro-turn.ts";
import type { ModelDescription, Saving } from "../core/model.ts";

export const FORMAT = "microturn-recording-1";
/** Name of the metadata record that begins each file. */
export const HEAD_NAME = "microturn";

/** Intervals that one step can have taken in: a bound for what is read. A session's backlog holds 150 of 200 ms. */
export const MAX_INTERVALS = 4096;

const fileDigest = z.object({ sizeBytes: z.number(), sha256: z.string() });

const head = z.object({
  format: z.literal(FORMAT, { error: `expected ${FORMAT}` }),
  /** The same in all files of one recording. */
  session: z.string(),
  /** 0 for the file that the session began with. */
  segment: z.int().min(0),
  /** Wall time of session time 0, ISO 8601. */
  startedAt: z.string(),
  /** The session's configuration, every default filled in, secrets masked. */
  profile: z.record(z.string(), z.unknown()),
  model: z.object({
    model: z.string(),
    backend: z.enum(["gpu", "cpu"]),
    adapter: z.string(),
    reason: z.string(),
  }) satisfies z.ZodType<ModelDescription>,
  /** The checkpoint's files with their digests. */
  checkpoint: z.record(z.string(), fileDigest),
});

/** What a recording says of its session. */
export type RecordingHead = z.infer<typeof head>;

/** The head as MCAP metadata holds it: texts as they are, all else as JSON. */
export function headToMetadata(written: RecordingHead): Map<string, string> {
  return new Map(
    Object.entries(written).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

/** @throws z.ZodError or SyntaxError for anything else than `headToMetadata` makes. */
export function headFromMetadata(metadata: ReadonlyMap<string, string>): RecordingHead {
  const texts = ["format", "session", "startedAt"];
  const values = [...metadata].map(([key, text]) => [key, texts.includes(key) ? text : JSON.parse(text)]);
  return head.parse(Object.fromEntries(values));
}

const time = z.number();
/**
 * What is looked at of each kind of event before a model is given it; the fields beside these come back as they were
 * written. One for each kind, so that a new one cannot be forgotten here.
 */
const inputEvents = {
  text: z.looseObject({ kind: z.literal("text"), timeMs: time, text: z.string() }),
  serial: z.looseObject({ kind: z.literal("serial"), timeMs: time, line: z.string() }),
  reasoner: z.looseObject({ kind: z.literal("reasoner"), timeMs: time, task: z.string(), text: z.string() }),
  played: z.looseObject({ kind: z.literal("played"), timeMs: time, endMs: time, text: z.string() }),
  device: z.looseObject({ kind: z.literal("device"), timeMs: time, device: z.string(), state: z.string() }),
} satisfies Record<InputEvent["kind"], z.ZodType>;

/** What a recording keeps of an output part: sound is made of the tokens, and what was heard of it stands on /speaker. */
export type RecordedPart =
  | Exclude<OutputPart, { kind: "sound" }>
  | { kind: "sound"; sampleRateHz: number; sampleCount: number };

/** @param part as the model put it out, or as it was recorded. */
export function recordedPart(part: OutputPart | RecordedPart): RecordedPart {
  if (part.kind !== "sound" || "sampleCount" in part) return part;
  return { kind: "sound", sampleRateHz: part.sampleRateHz, sampleCount: part.samples.length };
}

const outputParts = {
  sound: z.looseObject({
    kind: z.literal("sound"),
    sampleRateHz: z.int().positive(),
    sampleCount: z.int().min(0),
  }),
  speech: z.looseObject({ kind: z.literal("speech"), text: z.string() }),
  yield: z.looseObject({ kind: z.literal("yield") }),
  text: z.looseObject({ kind: z.literal("text"), text: z.string() }),
  action: z.looseObject({ kind: z.literal("action"), name: z.string(), args: z.looseObject({}) }),
} satisfies Record<OutputPart["kind"], z.ZodType>;

const inputEvent = z.union(Object.values(inputEvents)) as unknown as z.ZodType<InputEvent>;
const outputPart = z.union(Object.values(outputParts)) as unknown as z.ZodType<RecordedPart>;

const saving: z.ZodType<Saving> = z.enum([
  "fewer-video-tiles",
  "lower-video-rate",
  "shorter-output",
  "smaller-model",
]);

const interval = z.object({
  index: z.int().min(0),
  startMs: time,
  durationMs: time,
  audio: z.boolean(),
  frames: z.array(time),
  events: z.array(inputEvent),
});

const step = z.object({
  microTurn: z.int().min(0),
  stepMs: z.number(),
  late: z.boolean(),
  savings: z.array(saving),
  inputs: z.array(interval).min(1).max(MAX_INTERVALS),
  tokens: z.array(z.int()),
  parts: z.array(outputPart),
  unfinished: z.boolean(),
});

/** A step as /micro-turns holds it: sound and pictures stand on their own topics. */
export type StepMessage = z.infer<typeof step>;

/** @throws z.ZodError for anything else than a step. */
export function parseStep(value: unknown): StepMessage {
  return step.parse(value);
}

/** What the model put out in a step. */
export interface RecordedOutput extends Omit<MicroTurnOutput, "parts"> {
  parts: readonly RecordedPart[];
}

/** One step of a recorded session, whole. */
export interface RecordedStep {
  inputs: readonly MicroTurnInput[];
  output: RecordedOutput;
  savings: readonly Saving[];
  /** Machine time of the step, ms. */
  stepMs: number;
  late: boolean;
}

/** A line of the session's account, as `--json` prints it. */
export interface RecordedEvent {
  /** Session time, ms. */
  tMs: number;
  microTurn: number;
  kind: string;
}

const event = z.looseObject({ tMs: time, microTurn: z.number(), kind: z.string() });

/** @throws z.ZodError for anything else than an event. */
export function parseEvent(value: unknown): RecordedEvent {
  return event.parse(value);
}

const sound = z.object({ data: z.string(), exact: z.string().optional() });
const image = z.object({ data: z.string() });

/** The fields of a RawAudio message that hold samples. */
export function parseSound(value: unknown): { data: string; exact?: string } {
  const { data, exact } = sound.parse(value);
  return exact === undefined ? { data } : { data, exact };
}

/** The PNG of a CompressedImage message. */
export function parseImage(value: unknown): Uint8Array {
  return Buffer.from(image.parse(value).data, "base64");
}
