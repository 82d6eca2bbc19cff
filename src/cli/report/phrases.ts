import type { Played } from "../../core/device.ts";

/** A longer silence ends a phrase, ms. */
const PAUSE_MS = 500;
/** What a caption holds in one line. */
const LONGEST_PHRASE = 42;

/** Where nothing follows a word that was heard, it is taken to last so long, ms. */
const HEARD_WORD_MS = 400;

/** A word that speech to text has heard, and the session time at which it began, ms. */
export interface HeardWord {
  text: string;
  startMs: number;
}

/** Words that were heard as phrases that can be read. When a word ended is not known, only when the next began. */
export function phrasesHeard(words: readonly HeardWord[]): Played[] {
  return joinWords(
    words.map(({ text, startMs }, i) => {
      const nextMs = words[i + 1]?.startMs ?? Number.POSITIVE_INFINITY;
      return { text, startMs, endMs: Math.min(nextMs, startMs + HEARD_WORD_MS), whole: true };
    }),
  );
}

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
