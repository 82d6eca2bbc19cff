import type { MicroTurnInput, MicroTurnOutput, VideoFrame } from "./micro-turn.ts";

/** What a model wants to be fed. */
export interface Perception {
  /** T, the length of a micro-turn, ms. */
  microTurnMs: number;
  /** Mono sound at this rate, or null if the model is deaf. */
  audioSampleRateHz: number | null;
  /**
   * Frames per micro-turn, or null if the model is blind. The interval is cut into so many equal parts and the newest
   * frame of each is handed over; a part without a frame gives none.
   */
  videoFramesPerMicroTurn: number | null;
}

/** What a session prints about the model that runs it. */
export interface ModelDescription {
  /** Family and checkpoint: "native/counter". */
  model: string;
  backend: "gpu" | "cpu";
  /** The adapter's or the processor's name. */
  adapter: string;
  /** Why this backend was taken. */
  reason: string;
}

/** Ways to make a step cheaper, mildest first. None of them touches what is heard. */
export type Saving = "fewer-video-tiles" | "lower-video-rate" | "shorter-output" | "smaller-model";

/** A model that lives in micro-turns. `step` and `reset` are the whole of it. */
export interface InteractionModel {
  readonly perception: Perception;
  readonly description: ModelDescription;
  /**
   * Takes in one micro-turn, or several when earlier ones were late, oldest first; speaks for the last of them.
   * One call at a time. The inputs are borrowed until the promise settles.
   * @throws RuntimeError "gpu-device-lost" only when the device could not be brought back.
   */
  step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput>;
  /** Forgets the session: the next step is a first step. */
  reset(): Promise<void>;
  /** How far what it puts out may lie behind what it heard, ms: a session over recordings goes on so much longer. Default 0. */
  readonly lagMs?: number;
  /** The savings this model can make. "lower-video-rate" need not be named: the timeline makes it for any model. */
  readonly savings?: readonly Saving[];
  /** From the next step on makes exactly these savings, of those it offers. Called between steps. */
  save?(savings: readonly Saving[]): void;
  /**
   * The picture as small as this model sees it: a step that is given it in place of `frame` comes out the same, bit for
   * bit. What a recording keeps. Without it a recording keeps every frame whole. `frame` is borrowed; the result may be
   * `frame` itself.
   */
  reduceFrame?(frame: VideoFrame): VideoFrame;
  close(): Promise<void>;
}
