import type { Clock } from "./clock.ts";
import type { AudioChunk, InputEvent, VideoFrame } from "./micro-turn.ts";

/** One captured item. Items of a source come in order of their capture time. */
export type Captured =
  | ({ kind: "audio" } & AudioChunk)
  | ({ kind: "frame" } & VideoFrame)
  | { kind: "event"; captureMs: number; event: InputEvent };

/**
 * Where a stream comes from. A live device paces itself; a file gives its items as fast as they are taken and is
 * paced by the timeline. The iterable ends when the source ends and throws a RuntimeError when it fails.
 */
export interface Source {
  /** For messages: "file camera squat.mp4". */
  readonly name: string;
  readonly kind: "audio" | "video" | "events";
  /** True if items are taken from a recording and so may be read ahead of the session clock. */
  readonly recorded: boolean;
  open(clock: Clock, signal: AbortSignal): AsyncIterable<Captured>;
}

/** Speech of one phrase: mono f32 in [-1, 1]. */
export interface Speech {
  sampleRateHz: number;
  samples: Float32Array;
}

/** Text to speech. */
export interface Voice {
  readonly name: string;
  /** Speaks `text`; rejects with the signal's reason when flushed meanwhile. */
  synthesize(text: string, signal: AbortSignal): Promise<Speech>;
  close(): Promise<void>;
}

/** What a speaker has really played of one phrase. Times are session time, ms. */
export interface Played {
  text: string;
  startMs: number;
  endMs: number;
  /** False if a flush cut it short. */
  whole: boolean;
}

/** Where sound goes. Holds at most 400 ms that have not sounded yet. */
export interface Speaker {
  readonly name: string;
  /**
   * Queues one phrase and resolves when it has sounded or was flushed. The start is when its first sample sounds.
   * Phrases play in the order of the calls.
   */
  play(text: string, speech: Speech): Promise<Played>;
  /** Drops what has not sounded; silent within 50 ms. */
  flush(): void;
  close(): Promise<void>;
}
