import type { MicroTurnInput, VideoFrame } from "../../core/micro-turn.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../../runtime/events.ts";
import { printable } from "./printable.ts";

/** One micro-turn as a view draws it. */
export interface Column {
  microTurn: number;
  /** Mean change of luminance since the frame before, in [0, 255]; null without a picture. */
  motion: number | null;
  /** Level of the sound, dB below full scale, at least -90; null without a microphone. */
  levelDb: number | null;
  /** The step that took this micro-turn in, ms. */
  stepMs: number;
  late: boolean;
}

/** "heard": words that the model has heard, at the time at which they began. */
export type Lane = "typed" | "heard" | "spoken" | "shown" | "event";

/** Something that happened at one moment. */
export interface Mark {
  lane: Lane;
  tMs: number;
  text: string;
}

const FLOOR_DB = -90;
/** Pixels looked at for the motion of one frame: enough for a lane, too few to cost anything. */
const MOTION_SAMPLES = 1024;

/** What a view needs to know of a session: the newest columns and marks, or all of them. */
export class Collector implements SessionObserver {
  readonly columns: Column[] = [];
  readonly marks: Mark[] = [];
  readonly #limit: number;
  #previous: Uint8Array | null = null;

  /** @param limit the newest so many columns and marks are kept. */
  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  step({ inputs, stepMs, late }: StepRecord): void {
    for (const input of inputs) {
      this.columns.push({
        microTurn: input.index,
        motion: this.#motion(input),
        levelDb: input.audio === null ? null : levelDb(input.audio),
        stepMs,
        late,
      });
      for (const event of input.events) {
        if (event.kind !== "text") continue;
        this.marks.push({ lane: "typed", tMs: event.timeMs, text: printable(event.text) });
      }
    }
    this.#trim();
  }

  event(event: SessionEvent): void {
    const mark = markOf(event);
    if (mark !== null) this.marks.push({ ...mark, text: printable(mark.text) });
    this.#trim();
  }

  #trim(): void {
    if (this.columns.length > this.#limit) this.columns.splice(0, this.columns.length - this.#limit);
    if (this.marks.length > this.#limit) this.marks.splice(0, this.marks.length - this.#limit);
  }

  #motion(input: MicroTurnInput): number | null {
    const frame = input.frames.at(-1);
    if (frame === undefined) return null;
    const samples = greenSamples(frame);
    const previous = this.#previous;
    this.#previous = samples;
    if (previous === null) return 0;
    let sum = 0;
    for (let i = 0; i < samples.length; i++) sum += Math.abs(samples[i]! - previous[i]!);
    return sum / samples.length;
  }
}

function markOf(event: SessionEvent): Mark | null {
  const { tMs } = event;
  switch (event.kind) {
    case "speech":
      return { lane: "spoken", tMs, text: event.text };
    case "text":
      return event.heardMs === undefined
        ? { lane: "shown", tMs, text: event.text }
        : { lane: "heard", tMs: event.heardMs, text: event.text };
    case "yield":
      return { lane: "event", tMs, text: "gives way" };
    case "action":
      return { lane: "event", tMs, text: event.name };
    case "vetoed":
      return { lane: "event", tMs, text: `${event.name} vetoed` };
    case "late":
      return { lane: "event", tMs, text: "late" };
    case "degraded":
      return {
        lane: "event",
        tMs,
        text: `${event.direction === "down" ? "saves" : "restores"} ${event.saving}`,
      };
    case "device":
      // A file's folders are of no interest here, and often long.
      return { lane: "event", tMs, text: `${event.device.replace(/\S*\//, "")} ${event.state}` };
    case "reasoner":
      return { lane: "event", tMs, text: `reasoner ${event.state}` };
    case "end":
      return null;
    default:
      return event satisfies never;
  }
}

/** @param samples f32 in [-1, 1]. @returns root mean square, dB below full scale. */
export function levelDb(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const db = 10 * Math.log10(sum / Math.max(1, samples.length));
  return Math.max(FLOOR_DB, db);
}

/** Evenly spread pixels' green, the nearest of the three to luminance. */
function greenSamples({ rgb, width, height }: VideoFrame): Uint8Array {
  const samples = new Uint8Array(MOTION_SAMPLES);
  const step = (width * height) / MOTION_SAMPLES;
  for (let i = 0; i < MOTION_SAMPLES; i++) samples[i] = rgb[Math.floor((i + 0.5) * step) * 3 + 1] ?? 0;
  return samples;
}
