import { RuntimeError } from "../../../src/core/errors.ts";
import { FRAME_RATE_HZ } from "../config.ts";

/** Put before the first word of a turn. */
const SPEAKER_TOKENS = { main: 1, other: 2 } as const;
/** `<break time="1.5s"/>` */
const BREAK = /<break\s+time="(\d{1,3}(?:\.\d{0,3})?)s"\s*\/?>/g;

/**
 * The words of a text, in order, as they are given to the tokenizer. What is only punctuation to a reader, as brackets, is
 * left out, and so are breaks.
 */
export function wordsOf(text: string): string[] {
  const plain = text.replaceAll(BREAK, " ").replaceAll("’", "'").replaceAll(":", " ").replace(/[()]/g, "");
  return plain.split(/\s+/).filter((word) => word !== "");
}

export type Speaker = keyof typeof SPEAKER_TOKENS;

/** A word that is to be said, or a pause. */
export interface ScriptEntry {
  /** None for a pause. */
  tokens: readonly number[];
  text: string;
  /** Frames in which nothing else may begin. */
  padding: number;
}

export interface ScriptOptions {
  /** The tokenizer's: pieces of one word. */
  encode(word: string): readonly number[];
  /** True for a checkpoint that is given voices: it tells the speakers of a dialogue apart. */
  hasSpeakers: boolean;
  /** Frames between two words at least, beside those that their tokens take. Default 1. */
  paddingBetween?: number;
}

/** Turns what is to be said into entries, by whole texts or word by word as they come. */
export class Script {
  readonly #options: ScriptOptions;
  #speaker: Speaker | null = null;

  constructor(options: ScriptOptions) {
    this.#options = options;
  }

  /**
   * Entries of a text: its words in order, each encoded alone. `<break time="1.5s"/>` is a pause.
   *
   * @param text Whole words: what was begun here does not go on in the next call.
   */
  entries(text: string, speaker: Speaker = "main"): ScriptEntry[] {
    const entries: ScriptEntry[] = [];
    let at = 0;
    for (const match of text.matchAll(BREAK)) {
      entries.push(...this.#words(text.slice(at, match.index), speaker));
      entries.push({ tokens: [], text: "", padding: roundHalfEven(Number(match[1]) * FRAME_RATE_HZ) });
      at = match.index + match[0].length;
    }
    entries.push(...this.#words(text.slice(at), speaker));
    return entries;
  }

  #words(text: string, speaker: Speaker): ScriptEntry[] {
    const { encode, hasSpeakers, paddingBetween = 1 } = this.#options;
    return wordsOf(text).map((word) => {
      const pieces = encode(word);
      if (pieces.length === 0) {
        throw new RuntimeError("invalid-argument", {
          part: "text-to-speech",
          problem: `'${word}' has no tokens`,
        });
      }
      const begins = hasSpeakers && this.#speaker !== speaker;
      this.#speaker = speaker;
      const tokens = begins ? [SPEAKER_TOKENS[speaker], ...pieces] : pieces;
      const padding = paddingBetween > 0 ? Math.max(0, paddingBetween + tokens.length - 1) : 0;
      return { tokens, text: word, padding };
    });
  }
}

/** Halves go to the even neighbour, as in the original's language: a pause of 1 s is 12 frames. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
