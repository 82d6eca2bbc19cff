import type { Played } from "../core/device.ts";

/** A piece follows another without a pause if it begins this close to its end, ms. */
const SEAM_MS = 5;

export interface HeardSoundListener {
  /** A word is complete that began to sound at `startMs`. */
  said(text: string, startMs: number): void;
  /** A stretch of sound is over: one word and what sounded after it until the next or silence; `text` "" without a word. */
  heard(stretch: Stretch): void;
}

/** Times are session time, ms. */
export interface Stretch {
  startMs: number;
  endMs: number;
  text: string;
}

/**
 * Makes words and stretches of the pieces of a model's sound that have sounded. Each piece may have a bit of text: a
 * leading space begins a new word, and a piece without text, as between words, completes the one before.
 */
export class HeardSound {
  readonly #listener: HeardSoundListener;
  #stretch: Stretch | null = null;
  /** True while the stretch's word may go on with the next piece. */
  #wordIsOpen = false;

  constructor(listener: HeardSoundListener) {
    this.#listener = listener;
  }

  /** The word that may go on with the next piece; "" if there is none. */
  get openWord(): string {
    return this.#wordIsOpen ? (this.#stretch?.text ?? "") : "";
  }

  /** A piece has sounded to its end. */
  add({ text, startMs, endMs }: Played, isAudible: boolean): void {
    const goesOn = this.#stretch !== null && startMs - this.#stretch.endMs < SEAM_MS;
    const isWordsRest = this.#wordIsOpen && text !== "" && !/^\s/.test(text);
    if (!goesOn || (text === "" ? !isAudible : !isWordsRest)) this.end();
    if (text === "") this.#closeWord();
    if (text === "" && !isAudible) return;
    this.#stretch ??= { startMs, endMs, text: "" };
    this.#stretch.endMs = endMs;
    if (text === "") return;
    this.#stretch.text += text;
    this.#wordIsOpen = true;
  }

  /** Sound was cut at `endMs`. @param dropsWord the rest of the open word will not be heard. */
  cut(endMs: number, dropsWord: boolean): void {
    if (this.#stretch) {
      this.#stretch.endMs = Math.max(this.#stretch.endMs, endMs);
      if (dropsWord && this.#wordIsOpen) {
        this.#stretch.text = "";
        this.#wordIsOpen = false;
      }
    }
    this.end();
  }

  /** Nothing follows for now. */
  end(): void {
    this.#closeWord();
    const stretch = this.#stretch;
    this.#stretch = null;
    if (stretch) this.#listener.heard({ ...stretch, text: stretch.text.trim() });
  }

  #closeWord(): void {
    if (!this.#wordIsOpen) return;
    this.#wordIsOpen = false;
    const { text, startMs } = this.#stretch!;
    if (text.trim() !== "") this.#listener.said(text.trim(), startMs);
  }
}
