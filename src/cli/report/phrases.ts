import type { Played } from "../../core/device.ts";

/** A longer silence ends a phrase, ms. */
const PAUSE_MS = 500;
/** What a caption holds in one line. */
const LONGEST_PHRASE = 42;

/**
 * Joins words that sounded one after the other into phrases that can be read. A number stands by itself: it is a count,
 * and its moment matters.
 */
export function joinWords(played: readonly Played[]): Played[] {
  const phrases: Played[] = [];
  for (const { text, ...times } of played) {
    const word = text.trim();
    const last = phrases.at(-1);
    const joined = `${last?.text} ${word}`;
    const joins =
      last?.whole === true &&
      times.startMs - last.endMs < PAUSE_MS &&
      joined.length <= LONGEST_PHRASE &&
      !/\d/.test(joined);
    if (last && joins)
      phrases[phrases.length - 1] = {
        text: joined,
        startMs: last.startMs,
        endMs: times.endMs,
        whole: times.whole,
      };
    else phrases.push({ text: word, ...times });
  }
  return phrases;
}
