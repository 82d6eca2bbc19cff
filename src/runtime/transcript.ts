import type { Played } from "../core/device.ts";

/** Phrases that a transcript remembers; the oldest go first. */
const CAPACITY = 1000;

/** Words that were heard. Times are session time, ms. */
export interface HeardPhrase {
  startMs: number;
  endMs: number;
  text: string;
}

/** What was said and heard: words that a flush kept from sounding never enter. */
export class Transcript {
  readonly #phrases: HeardPhrase[] = [];

  /** The last thousand phrases heard, oldest first. */
  get phrases(): readonly HeardPhrase[] {
    return this.#phrases;
  }

  /**
   * Takes in what a speaker has played of a phrase that lasts `durationMs`.
   * @returns what was heard of it, or null if no whole word was.
   */
  add(played: Played, durationMs: number): HeardPhrase | null {
    const share = durationMs > 0 ? (played.endMs - played.startMs) / durationMs : 0;
    const text = played.whole ? played.text : wordsWithin(played.text, share);
    if (text === "") return null;
    const heard = { startMs: played.startMs, endMs: played.endMs, text };
    this.#phrases.push(heard);
    if (this.#phrases.length > CAPACITY) this.#phrases.shift();
    return heard;
  }
}

/** The words that end within the first `share` of a phrase, each taking time in proportion to its letters. */
function wordsWithin(text: string, share: number): string {
  const words = text.split(" ");
  const heard: string[] = [];
  for (const word of words) {
    heard.push(word);
    if (heard.join(" ").length > share * text.length) {
      heard.pop();
      break;
    }
  }
  return heard.join(" ");
}
