import type { MicroTurnInput, MicroTurnOutput, ReasonerEvent } from "../core/micro-turn.ts";
import type { ModelDescription, Saving } from "../core/model.ts";

/** How long the model's steps took, ms of machine time, whatever the session clock. */
export interface StepMs {
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** Sound that was missing from the microphone and stands as silence in the model's input. */
export interface GapCount {
  count: number;
  totalMs: number;
}

/** What a session says about itself when it is over. */
export interface SessionSummary extends ModelDescription {
  /** Micro-turns taken in. */
  microTurns: number;
  /** Steps that were not done when the next interval closed. */
  late: number;
  stepMs: StepMs;
  gaps: GapCount;
  /** What queues had to drop by their written policies; all 0 in a healthy session. */
  dropped: { frames: number; events: number; phrases: number; sound: number; intervals: number };
}

/** How a session stands at this moment. */
export interface SessionStanding extends Pick<SessionSummary, "gaps" | "dropped"> {
  /** Events that wait for their interval to close, phrases that have not sounded to their end. */
  waiting: { events: number; phrases: number };
  /** By how much a live microphone's clock is slower than the session's, as a share. */
  microphoneDrift: number;
  /** Times that the model's own sound came too late to go on without a pause. */
  underruns: number;
}

/** Where in the session: time in ms, and the micro-turn that covers it. */
interface When {
  tMs: number;
  microTurn: number;
}

/** One line of a session's account, in the shape that `--json` prints. */
export type SessionEvent = When &
  (
    | { kind: "speech"; text: string }
    /** The model gave way: the speaker fell silent at tMs. `text`: the words that will not be heard. */
    | { kind: "yield"; text: string }
    /** For the screen. `heardMs`: of words that were heard, when they began. */
    | { kind: "text"; text: string; heardMs?: number }
    | { kind: "action"; name: string; args: Readonly<Record<string, unknown>> }
    /** The policy kept an action from being carried out. */
    | { kind: "vetoed"; name: string; args: Readonly<Record<string, unknown>>; reason: string }
    /** A late step of `stepMs`; the next one takes in all that has closed since. */
    | { kind: "late"; stepMs: number }
    /** The ladder moved one rung; `savings` are those now made. */
    | { kind: "degraded"; direction: "down" | "up"; saving: Saving; savings: readonly Saving[] }
    | { kind: "device"; device: string; state: "ready" | "lost" | "ended"; detail: string }
    /** Something about a task in the hands of the reasoner, as the model was told it. */
    | Omit<ReasonerEvent, "timeMs">
    | ({ kind: "end" } & SessionSummary)
  );

/** One finished step. */
export interface StepRecord {
  /** Oldest first; borrowed: copy what you keep. */
  inputs: readonly MicroTurnInput[];
  output: MicroTurnOutput;
  /** Those that the model made in this step. */
  savings: readonly Saving[];
  /** Machine time of the step, ms. */
  stepMs: number;
  late: boolean;
}

/** Watches a session without being in its path: called between steps, must not block; what it throws is logged. */
export interface SessionObserver {
  event?(event: SessionEvent): void;
  step?(record: StepRecord): void;
}
