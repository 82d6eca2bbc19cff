import type { SpeechPiece, StreamingVoice, Utterance } from "../../src/core/device.ts";

const SAMPLE_RATE_HZ = 24_000;
const PIECE_SAMPLES = 1920;
/** 80 ms pieces of each word: two with a tone, one of silence. */
const TONE_PIECES = 2;
const SILENT_PIECES = 1;

export interface ScriptedVoiceOptions {
  /** Words that must be known, beside the next one, before it is said. Default 1. */
  ahead?: number;
  /** Fails, once, when it is to say this word. */
  failsAt?: string;
  /** Pieces after the last word's: silence. Default 1. */
  trail?: number;
}

/** A streaming voice without a network: says words as tones and waits for the words after them. */
export class ScriptedVoice implements StreamingVoice {
  readonly name = "scripted voice";
  /** The words of each utterance that were begun. */
  readonly utterances: string[][] = [];
  closed = false;
  failsAt: string | null;
  readonly options: ScriptedVoiceOptions;

  constructor(options: ScriptedVoiceOptions = {}) {
    this.options = options;
    this.failsAt = options.failsAt ?? null;
  }

  begin(signal: AbortSignal): Utterance {
    const begun: string[] = [];
    this.utterances.push(begun);
    return new ScriptedUtterance(this, begun, signal);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

class ScriptedUtterance implements Utterance {
  readonly #voice: ScriptedVoice;
  readonly #begun: string[];
  readonly #signal: AbortSignal;
  readonly #words: string[] = [];
  readonly #pieces: SpeechPiece[] = [];
  #ended = false;
  #isOver = false;

  constructor(voice: ScriptedVoice, begun: string[], signal: AbortSignal) {
    this.#voice = voice;
    this.#begun = begun;
    this.#signal = signal;
  }

  get unsaid(): string {
    return this.#words.join(" ");
  }

  say(text: string): void {
    if (this.#ended) throw new Error("words after the end");
    this.#words.push(...text.split(" "));
  }

  end(): void {
    this.#ended = true;
  }

  async next(): Promise<SpeechPiece | "starved" | null> {
    this.#signal.throwIfAborted();
    const { ahead = 1, trail = 1 } = this.#voice.options;
    if (this.#pieces.length === 0) {
      const word = this.#words[0];
      if (word !== undefined && word === this.#voice.failsAt) {
        this.#voice.failsAt = null;
        throw new Error(`cannot say ${word}`);
      }
      if (!this.#ended && this.#words.length <= ahead) return "starved";
      if (word === undefined) {
        if (this.#isOver) return null;
        this.#isOver = true;
        this.#pieces.push(...Array.from({ length: trail }, () => piece("", 0)));
      } else {
        this.#words.shift();
        this.#begun.push(word);
        for (let n = 0; n < TONE_PIECES; n++) this.#pieces.push(piece(n === 0 ? word : "", 0.3));
        for (let n = 0; n < SILENT_PIECES; n++) this.#pieces.push(piece("", 0));
      }
    }
    return this.#pieces.shift() ?? null;
  }
}

function piece(word: string, level: number): SpeechPiece {
  const samples = Float32Array.from({ length: PIECE_SAMPLES }, (_, i) => level * Math.sin(i / 10));
  return { samples, sampleRateHz: SAMPLE_RATE_HZ, isStream: true, word };
}
