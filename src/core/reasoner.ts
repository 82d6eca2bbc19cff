import type { Source } from "./device.ts";
import type { VideoFrame } from "./micro-turn.ts";

/**
 * What the reasoner says of a task, or what becomes of it: `waiting`: nobody has it yet, the link is down or no reasoner
 * is there; `accepted`: someone works on it; `progress`: a word on what is being done; `partial`: more of the result, to
 * be appended; `ask`: a question to the person; `result`: the whole of it; `failed`: no result will come; `refused`:
 * what was asked for cannot be done, such as to amend a task that is over.
 */
export type ReasonerState =
  | "waiting"
  | "accepted"
  | "progress"
  | "partial"
  | "ask"
  | "result"
  | "failed"
  | "refused";

/** Who said it, when it began in session time (ms), and whether it was heard: a flush may have kept it from sounding. */
export interface Utterance {
  by: "person" | "device" | "reasoner";
  timeMs: number;
  text: string;
  heard: boolean;
}

/** What a session tells the reasoner about itself. Policy has already taken out what may not leave the device. */
export interface SessionSnapshot {
  /** Session time, ms. */
  elapsedMs: number;
  /** Oldest first. */
  transcript: readonly Utterance[];
  counts: readonly { name: string; value: number }[];
  devices: readonly { device: string; state: "ready" | "lost" | "ended" }[];
  /** Newest last; owned by whoever gets the snapshot. */
  stills: readonly VideoFrame[];
}

/**
 * The background reasoner as a session sees it. Every call returns at once and never throws: what becomes of it comes
 * round as an event of `source`. `task` may be left out: then the newest task is meant that is still open, for an
 * answer the one that has asked last.
 */
export interface Reasoner {
  /** Events of kind "reasoner", and of kind "device" with the name REASONER_DEVICE for the state of the link. */
  readonly source: Source;
  /** Begins a task. */
  delegate(text: string, snapshot: SessionSnapshot): void;
  /** Corrects or adds to a task while it runs. */
  amend(text: string, task?: string): void;
  /** Passes on what the person says to a question of the reasoner. */
  answer(text: string, task?: string): void;
  /** The person has dropped the task: nothing more is heard of it. */
  cancel(task?: string): void;
}

/** Under this name the link to the reasoner is a device: "ready" when it is up, "lost" when it is down. */
export const REASONER_DEVICE = "reasoner";
