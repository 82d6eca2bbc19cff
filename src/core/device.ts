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
  /**
   * Live devices: gets the device going before session time begins, so that the first micro-turn hears and sees.
   * @param signal that of `open`, which follows at once.
   * @throws RuntimeError "device-unavailable" or "missing-program": a device that is lost later is told as an event.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  open(clock: Clock, signal: AbortSignal): AsyncIterable<Captured>;
}

/** Speech of one phrase: mono f32 in [-1, 1]. */
export interface Speech {
  sampleRateHz: number;
  samples: Float32Array;
  /** True for a piece of a stream: played right after another such piece it carries on from it without a seam. */
  isStream?: boolean;
}

/** Text to speech, phrase by phrase. */
export interface Voice {
  readonly name: string;
  /** Speaks `text`; rejects with the signal's reason when flushed meanwhile. */
  synthesize(text: string, signal: AbortSignal): Promise<Speech>;
  close(): Promise<void>;
}

/** A piece of speech, when it is made piece by piece. */
export interface SpeechPiece extends Speech {
  /** The word that begins with it; "" for none. */
  word: string;
}

/** Speech that is made while its text still comes. */
export interface Utterance {
  /** Words that were given and begin in no piece yet. */
  readonly unsaid: string;
  /** Says these words after those before. Not after `end`. */
  say(text: string): void;
  /** Nothing more is to be said. */
  end(): void;
  /**
   * Makes the next piece. One call at a time.
   * @returns "starved" while that depends on words that have not been given, never after `end`; null when all has been made.
   *   Rejects with the signal's reason when flushed; with anything else this utterance is over.
   */
  next(): Promise<SpeechPiece | "starved" | null>;
}

/** Text to speech that speaks while the text still comes: one utterance after the other. */
export interface StreamingVoice {
  readonly name: string;
  /** Begins an utterance. The one before is over or was flushed. @param signal flushes it. */
  begin(signal: AbortSignal): Utterance;
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

/** One phrase on its way out of a speaker. */
export interface Playback {
  /** Session time at which the first sample sounds, ms, known when it does; null if it never did. Never rejects. */
  started: Promise<number | null>;
  /** Resolves when the phrase has sounded or was flushed; rejects with "output-failed" if the output broke. */
  finished: Promise<Played>;
}

/** Where sound goes. Holds at most 400 ms that have not sounded yet when a phrase is added. */
export interface Speaker {
  readonly name: string;
  /** Live speakers: the device events of this speaker, to be put among the session's sources. Its `prepare` opens it. */
  readonly states?: Source;
  /** Live speakers: how often the device ran dry in the middle of a phrase. */
  readonly underruns?: number;
  /** Live speakers: how much longer the device takes for its samples than it says, as a share; 0 until that is measured. */
  readonly drift?: number;
  /** Live speakers: how long before it sounds the next piece of a stream must be here, or there is a gap, ms. */
  readonly aheadMs?: number;
  /** Queues one phrase. Phrases play in the order of the calls. `speech` is kept until it has sounded. */
  play(text: string, speech: Speech): Playback;
  /** Drops what has not sounded; silent within 50 ms. */
  flush(): void;
  /** Flushes, then finishes what it writes. @throws RuntimeError "output-failed". */
  close(): Promise<void>;
  /** Flushes, then takes back what it has written: nothing half-written stays. */
  discard(): Promise<void>;
}

/** One thing that the model wants done. */
export interface Action {
  name: string;
  args: Readonly<Record<string, unknown>>;
}

/** Where actions of some kind go. What becomes of them comes round as an event of a Source. */
export interface ActionSink {
  readonly name: string;
  /** True if an action of this name is its to carry out. */
  takes(name: string): boolean;
  /** Carries out an action that the policy allows. Returns at once and never throws. */
  act(action: Action): void;
}

/** Sound that may wait in a speaker while more is added, ms. */
export const SPEAKER_QUEUE_MS = 400;
