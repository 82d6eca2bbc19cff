import type { Played } from "../core/device.ts";
import type { Stretch } from "./heard-sound.ts";

/** What is known of a piece of speech before it sounds. */
export interface SpokenPiece {
  /** The word that begins with it; "" for none. */
  word: string;
  isAudible: boolean;
}

/**
 * Makes of the pieces of speech that have sounded the words that were heard to their end. A word lasts until the next
 * begins or nothing can be heard; one that was cut was not heard.
 */
export class HeardWords {
  readonly #heard: (word: Stretch) => void;
  #word: Stretch | null = null;

  constructor(heard: (word: Stretch) => void) {
    this.#heard = heard;
  }

  /** The word whose end has not been heard yet; "" if there is none. */
  get open(): string {
    return this.#word?.text ?? "";
  }

  /** A piece is over, in order. @param played how much of it sounded. */
  add({ word, isAudible }: SpokenPiece, { startMs, endMs, whole }: Played): void {
    if (word !== "" || !isAudible) this.end();
    if (!whole) this.cut();
    else if (word !== "") this.#word = { startMs, endMs, text: word };
    else if (this.#word) this.#word.endMs = endMs;
  }

  /** What follows does not belong to the word. */
  end(): void {
    const word = this.#word;
    this.#word = null;
    if (word) this.#heard(word);
  }

  /** The rest of the word will not be heard. */
  cut(): void {
    this.#word = null;
  }
}
