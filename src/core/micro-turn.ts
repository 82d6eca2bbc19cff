import type { ReasonerState } from "./reasoner.ts";

/** One picture. `rgb` is (height, width, 3) u8, row-major. */
export interface VideoFrame {
  /** Session time at which the picture was taken, ms. */
  captureMs: number;
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** A stretch of sound. `samples` is mono f32 in [-1, 1]. */
export interface AudioChunk {
  /** Session time of the first sample, ms. */
  captureMs: number;
  sampleRateHz: number;
  samples: Float32Array;
}

/** Something about a task in the hands of the background reasoner. */
export interface ReasonerEvent {
  kind: "reasoner";
  timeMs: number;
  /** Tells the tasks of a session apart. */
  task: string;
  state: ReasonerState;
  /** What the task is about, in the model's own words, cut short. */
  about: string;
  text: string;
  /** Since the reasoner said it, ms: more than a moment if the link was down meanwhile. */
  ageMs: number;
  /** True if that is so long that the person may no longer be waiting for it. */
  stale: boolean;
}

/** What enters a session beside sound and pictures. Times are session time, ms. */
export type InputEvent =
  | { kind: "text"; timeMs: number; text: string }
  | { kind: "serial"; timeMs: number; line: string }
  | ReasonerEvent
  /** Words that have really sounded, to the sample, as the speaker reports them; "" for a model's own sound without words. */
  | { kind: "played"; timeMs: number; endMs: number; text: string }
  | { kind: "device"; timeMs: number; device: string; state: "ready" | "lost" | "ended"; detail: string };

/** What the model perceives of one micro-turn: session time [startMs, startMs + durationMs). */
export interface MicroTurnInput {
  /** k: 0 for the first micro-turn of the session. */
  index: number;
  startMs: number;
  durationMs: number;
  /** Exactly the interval at the model's rate, gaps filled with silence; null when the session has no microphone. */
  audio: Float32Array | null;
  /**
   * Oldest first. The interval is cut into as many equal parts as the model asked for frames, and each part gives the
   * newest frame captured in it, or none: the part is floor((captureMs - startMs) / (durationMs / parts)).
   */
  frames: readonly VideoFrame[];
  /** In order of time. */
  events: readonly InputEvent[];
}

/** One thing that the model chose to put out. */
export type OutputPart =
  /** Words to be spoken, as they came: a leading space begins a new word. */
  | { kind: "speech"; text: string }
  /** The model gives way: whatever is queued for the speaker is dropped at once. */
  | { kind: "yield" }
  /**
   * Sound of the model's own, which goes to the speaker without a voice: that of one micro-turn, mono f32, clipped beyond
   * [-1, 1]. What follows it in the next block carries on from it without a seam. The session keeps `samples`.
   */
  | { kind: "sound"; samples: Float32Array; sampleRateHz: number }
  /**
   * For the screen; before sound in the same block, what that sound says: words or pieces of them, where a leading space
   * begins a new word. `heardMs`: of words that were heard, the session time at which they began.
   */
  | { kind: "text"; text: string; heardMs?: number }
  | { kind: "action"; name: string; args: Record<string, unknown> };

export interface MicroTurnOutput {
  /** Index of the last micro-turn this step took in. */
  index: number;
  /** Every token the model chose, the closing one included: what a replay must reproduce. */
  tokens: readonly number[];
  parts: readonly OutputPart[];
  /** True if the block was closed by its cap, so that its last word may go on in the next block. */
  unfinished?: boolean;
}
