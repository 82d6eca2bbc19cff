import type { Script } from "./script.ts";
import type { TextToSpeech } from "./text-to-speech.ts";

/** Frames at the beginning of an utterance that are not heard: a click, in which no word begins (Kyutai's simple_generate). */
const SKIPPED_FRAMES = 2;

/** What comes of one step. */
export type SpeechReply =
  /** (1920) f32, at 24 kHz, may go beyond [-1, 1]; and the word that begins with it, "" for none. */
  | { kind: "sound"; samples: Float32Array; word: string }
  /** Nothing sounds yet. */
  | { kind: "silent" }
  /** The next step depends on words that have not been given. */
  | { kind: "starved" }
  /** All that was to be said has been made. */
  | { kind: "done" };

export interface SpokenTextParts {
  textToSpeech: TextToSpeech;
  /** Makes entries of words: one for each utterance, as its first word says who speaks. */
  newScript: () => Pick<Script, "entries">;
  codec: {
    /** One frame of codes to (1920) f32. */
    decode(codes: Int32Array): Promise<Float32Array>;
    reset(): Promise<void>;
  };
}

/** Makes sound of words as they come, frame by frame, one utterance after the other. */
export class SpokenText {
  readonly #parts: SpokenTextParts;
  #script: Pick<Script, "entries">;
  /** Words that have been begun and do not sound yet, oldest first. */
  readonly #begun: { word: string; fromFrame: number }[] = [];
  /** Frames that sound so far, those that are not heard included. */
  #frames = 0;

  constructor(parts: SpokenTextParts) {
    this.#parts = parts;
    this.#script = parts.newScript();
  }

  /**
   * One step of 80 ms.
   *
   * @param given Words to say after those before, and whether they are the last.
   * @throws RuntimeError "invalid-argument" for a word without tokens, or words after the last.
   */
  async step(given: { text: string; isEnd: boolean }): Promise<SpeechReply> {
    const { textToSpeech, codec } = this.#parts;
    if (given.text !== "") textToSpeech.push(this.#script.entries(given.text));
    if (given.isEnd) textToSpeech.end();
    const step = await textToSpeech.step();
    if (!step) return { kind: textToSpeech.isDone ? "done" : "starved" };
    const { begun, codes } = step;
    if (begun && begun.entry.text !== "")
      this.#begun.push({ word: begun.entry.text, fromFrame: begun.fromFrame });
    if (!codes) return { kind: "silent" };
    const samples = await codec.decode(codes);
    const frame = this.#frames++;
    if (frame < SKIPPED_FRAMES) return { kind: "silent" };
    const word =
      (this.#begun[0]?.fromFrame ?? Number.POSITIVE_INFINITY) <= frame ? this.#begun.shift()! : null;
    return { kind: "sound", samples, word: word?.word ?? "" };
  }

  /** The next words begin another utterance: what was not said yet is dropped. */
  async reset(): Promise<void> {
    const { textToSpeech, codec, newScript } = this.#parts;
    this.#script = newScript();
    this.#begun.length = 0;
    this.#frames = 0;
    await textToSpeech.reset();
    await codec.reset();
  }
}
