/** A word that grows without end is not a word: past this many characters it is said as it stands. */
const MAX_PHRASE_CHARS = 500;

/**
 * Joins the words of a model's speech into phrases for the voice. A leading space begins a new word; a word is
 * complete when the next one begins or its block closes. A block that was closed by its cap leaves its last word open.
 */
export class Phrases {
  #open = "";

  /** Takes in one speech part of the block in hand. */
  add(text: string): void {
    this.#open += text;
  }

  /** Forgets what has been added and not yet been taken: the model gave way. */
  clear(): string {
    const dropped = this.#open.trim();
    this.#open = "";
    return dropped;
  }

  /**
   * Ends a block.
   * @returns the words that are complete, in one phrase; empty if there are none.
   */
  endBlock(unfinished: boolean): string {
    const lastWordAt = this.#open.lastIndexOf(" ");
    const keep =
      unfinished && this.#open.length < MAX_PHRASE_CHARS ? Math.max(0, lastWordAt) : this.#open.length;
    const phrase = this.#open.slice(0, keep).trim().replace(/\s+/g, " ");
    this.#open = this.#open.slice(keep);
    return phrase;
  }
}
