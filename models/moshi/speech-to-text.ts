import { RuntimeError } from "../../src/core/errors.ts";
import { FRAME_RATE_HZ } from "./config.ts";
import { Generation } from "./generation.ts";
import type { LanguageModel } from "./language-model.ts";
import { type StreamLayout, TEXT_PAD, TEXT_WORD } from "./streams.ts";

/** Silence that the reference adds after the delay, so that the last word is complete. */
const CLOSING_SILENCE_SECONDS = 1;
/** Pieces of one word: far more than any has; what comes after these begins a word of its own. */
const MAX_WORD_PIECES = 64;

/** The seconds of silence that the n-th of a checkpoint's heads looks for. */
export const PAUSE_SECONDS: readonly number[] = [0.5, 1, 2, 3];

/** Which of these the reference takes for the end of what a speaker has to say, and from which probability on. */
const END_HEAD = 2;
const END_PROBABILITY = 0.5;

export interface SpeechToTextConfig extends StreamLayout {
  readonly extraHeads: { readonly count: number; readonly classes: number };
  readonly stt: { readonly audioDelaySeconds: number; readonly silencePrefixSeconds: number } | null;
}

/** What is known of the words after a step. Times are seconds since the first sample of the input. */
export type WordEvent =
  | { kind: "word"; text: string; startSeconds: number }
  /** The word before this is over. */
  | { kind: "word-end"; stopSeconds: number };

export interface Transcription {
  words: readonly WordEvent[];
  /** (heads) probability that the speaker has paused for PAUSE_SECONDS[n]; empty for a checkpoint without these heads. */
  pauses: Float32Array;
  /** Once after words: the speaker seems to have ended. Null otherwise, and always without these heads. */
  ended: SpeakerEnded | null;
}

/** That a speaker seems to have ended, as the checkpoint's heads say. */
export interface SpeakerEnded {
  /** The pause that is looked for. */
  pauseSeconds: number;
  /** That there is such a pause: above 0.5. */
  probability: number;
}

/** Seconds of silence that a whole recording is to be padded with, before and after it. */
export function silenceAround({ stt }: SpeechToTextConfig): { before: number; after: number } {
  const { audioDelaySeconds = 0, silencePrefixSeconds = 0 } = stt ?? {};
  return { before: silencePrefixSeconds, after: audioDelaySeconds + CLOSING_SILENCE_SECONDS };
}

/**
 * Speech to text by frames of 80 ms: words with the time they began at, as soon as they are complete, and how likely the
 * speaker is to have paused. The text lies behind the speech by the checkpoint's delay (0.5 s or 2.5 s).
 *
 * Token n of the text stream tells of the second n / 12.5 - delay of what was given; see silenceAround for what has to
 * be put before the speech.
 */
export class SpeechToText {
  readonly #generation: Generation;
  readonly #config: SpeechToTextConfig;
  readonly #decode: (tokens: readonly number[]) => string;
  #pieces: number[] = [];
  #startSeconds = 0;
  #wordIsOpen = false;
  /** True from a word until the speaker seems to have ended. */
  #isSpeaking = false;

  /**
   * @param model  Made with temperature 0.
   * @param decode The tokenizer's: text of these pieces.
   */
  constructor(
    model: LanguageModel,
    config: SpeechToTextConfig,
    decode: (tokens: readonly number[]) => string,
  ) {
    if (config.depQ !== 0) {
      throw new RuntimeError("invalid-argument", {
        part: "speech-to-text",
        problem: `the model makes ${config.depQ} codebooks of sound, expected none`,
      });
    }
    this.#generation = new Generation(model, config);
    this.#config = config;
    this.#decode = decode;
  }

  /**
   * Takes in one frame. The first one is given twice to the network, which else would not see it.
   *
   * @param codes (nQ) codes of the frame.
   */
  async step(codes: ArrayLike<number>): Promise<Transcription> {
    const words: WordEvent[] = [];
    if (this.#generation.steps === 0) await this.#take(codes, words);
    const pauses = await this.#take(codes, words);
    return { words, pauses, ended: this.#endOf(words, pauses) };
  }

  /** The word that is not complete yet, when nothing more comes. */
  finish(): readonly WordEvent[] {
    const words: WordEvent[] = [];
    this.#flush(words);
    return words;
  }

  /** The next frame is a first one. */
  async reset(): Promise<void> {
    await this.#generation.reset();
    this.#pieces = [];
    this.#startSeconds = 0;
    this.#wordIsOpen = false;
    this.#isSpeaking = false;
  }

  /** As the reference's programs do it: told once, and again only after another word. Before the first word nobody spoke. */
  #endOf(words: readonly WordEvent[], pauses: Float32Array): SpeakerEnded | null {
    if (words.some(({ kind }) => kind === "word")) this.#isSpeaking = true;
    const probability = pauses[END_HEAD] ?? 0;
    if (!this.#isSpeaking || !(probability > END_PROBABILITY)) return null;
    this.#isSpeaking = false;
    return { pauseSeconds: PAUSE_SECONDS[END_HEAD]!, probability };
  }

  async #take(codes: ArrayLike<number>, words: WordEvent[]): Promise<Float32Array> {
    const { silencePrefixSeconds = 0, audioDelaySeconds = 0 } = this.#config.stt ?? {};
    const seconds = this.#generation.steps / FRAME_RATE_HZ - audioDelaySeconds - silencePrefixSeconds;
    const { sampled } = await this.#generation.step(codes);
    const token = sampled.text;
    // What is said of the time before the speech is no word.
    if (seconds + silencePrefixSeconds >= 0) {
      if (token <= TEXT_PAD || this.#pieces.length === MAX_WORD_PIECES) this.#flush(words);
      if (token > TEXT_PAD) this.#pieces.push(token);
      if (token === TEXT_WORD) {
        const time = Math.max(0, seconds);
        if (this.#wordIsOpen) words.push({ kind: "word-end", stopSeconds: time });
        this.#wordIsOpen = false;
        this.#startSeconds = time;
      }
    }
    const { count, classes } = this.#config.extraHeads;
    return Float32Array.from({ length: count }, (_, head) => sampled.extraHeads[head * classes]!);
  }

  #flush(words: WordEvent[]): void {
    const text = this.#decode(this.#pieces).trim();
    this.#pieces = [];
    if (text === "") return;
    words.push({ kind: "word", text, startSeconds: this.#startSeconds });
    this.#wordIsOpen = true;
  }
}
