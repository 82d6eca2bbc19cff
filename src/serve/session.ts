/** Sound of the Moshi family: 24 kHz mono. */
export const SAMPLE_RATE_HZ = 24_000;
/** One frame, in and out. */
export const FRAME_SAMPLES = 1920;
/** What a frame lasts, ms: the micro-turn of this family. */
export const FRAME_MS = 80;

/**
 * What a client may ask of its session. What it leaves out is the engine's to choose. Ranges have been checked
 * (see query.ts).
 */
export interface SessionOptions {
  /** 0 is greedy. */
  textTemperature?: number;
  /** 0 is all. */
  textTopK?: number;
  audioTemperature?: number;
  audioTopK?: number;
  textSeed?: number;
  audioSeed?: number;
  /** One seed for both, of clients that know but one. */
  seed?: number;
  /** The probability of padding is multiplied by e to this power. */
  padMultiplier?: number;
  /** Above 1, text tokens of the last `repetitionPenaltyContext` are made less likely. */
  repetitionPenalty?: number;
  /** Tokens. */
  repetitionPenaltyContext?: number;
  /** Name of a voice of the checkpoint: a plain file name. */
  voicePrompt?: string;
  /** The role that the model is to play. */
  textPrompt?: string;
}

/** What a model gives out for one frame. */
export interface Reply {
  /** (FRAME_SAMPLES) f32 mono at 24 kHz, or null while the model has nothing to give yet. May go beyond [-1, 1]. */
  pcm: Float32Array | null;
  /** A piece of text, a leading space beginning a new word; empty for none. */
  text: string;
}

/** One conversation with a full-duplex model. One call at a time. */
export interface DuplexSession {
  /** What holds for it, what was not asked for included: a client is told. */
  readonly inEffect: SessionOptions;
  /**
   * Takes in one frame and gives out one.
   *
   * @param pcm (FRAME_SAMPLES) f32 mono at 24 kHz; what was decoded from Opus may go a little beyond [-1, 1]. Borrowed
   *   until the promise settles.
   */
  step(pcm: Float32Array): Promise<Reply>;
  /** Forgets what was said: the next frame is a first frame. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** A model that holds one conversation at a time. */
export interface DuplexEngine {
  /** Family and checkpoint, for messages and for the client: "moshi/moshiko". */
  readonly name: string;
  /**
   * Begins a conversation: the one before has been closed.
   *
   * @param signal aborted when the client leaves meanwhile: a long prompt may then be broken off.
   * @param options hold for this conversation only.
   * @throws RuntimeError "invalid-argument" for what it cannot do: a voice that it does not have, a role that it cannot play.
   */
  open(options: SessionOptions, signal: AbortSignal): Promise<DuplexSession>;
  close(): Promise<void>;
}
