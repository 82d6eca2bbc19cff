import type { Caption } from "./view.ts";

/** Captions that are kept; the oldest go first. */
const CAPACITY = 40;
const MAX_TEXT_CHARS = 500;

interface Entry {
  caption: Caption;
  /** The whole phrase as it began to sound. */
  words: string;
  /** Session time of the flush that may have cut it, ms; null if there was none. */
  cutMs: number | null;
  /** True once it is known what sounded of it. */
  settled: boolean;
}

/**
 * What was heard, said and shown. Words stand here from their first sample on; what the speaker then reports decides
 * which of them remain, as in the transcript.
 */
export class Captions {
  #entries: Entry[] = [];
  #nextId = 0;
  /** Of the captions that are no longer kept. */
  #olderNumber: string | null = null;

  get list(): readonly Caption[] {
    return this.#entries.map(({ caption }) => caption);
  }

  /** The last number that sounded, as it was spoken; null if there was none. */
  get number(): string | null {
    for (const { caption } of this.#entries.toReversed()) {
      const number = numberIn(caption);
      if (number !== null) return number;
    }
    return this.#olderNumber;
  }

  /** True while words sound. */
  get speaking(): boolean {
    return this.#entries.some(({ settled, cutMs }) => !settled && cutMs === null);
  }

  /** What a person typed, or what the model put on the screen. */
  add(by: "heard" | "shown", tMs: number, text: string): void {
    this.#push(by, tMs, text, true);
  }

  /** The first sample of a phrase sounds at `startMs`. */
  began(startMs: number, text: string): void {
    this.#push("said", startMs, text, false);
  }

  /** The phrase that began at `startMs` has sounded as far as `heard`. */
  sounded(startMs: number, endMs: number, heard: string): void {
    const entry = this.#entries.find(
      ({ caption, settled }) => caption.by === "said" && !settled && caption.tMs === startMs,
    );
    if (!entry) return;
    entry.settled = true;
    const text = heard.slice(0, MAX_TEXT_CHARS);
    const unheard = entry.words.startsWith(text) ? entry.words.slice(text.length).trim() : "";
    entry.caption = { ...entry.caption, endMs, text, unheard };
  }

  /** The speaker was flushed at `tMs`. Which words had sounded by then comes round with the next step. */
  flushed(tMs: number): void {
    for (const entry of this.#entries) if (!entry.settled) entry.cutMs ??= tMs;
  }

  /**
   * All that was reported up to `tMs` has come round: a phrase that was cut before, and of which nothing was reported,
   * was not heard. A report that comes even later still counts.
   */
  knownTo(tMs: number): void {
    for (const entry of this.#entries) {
      if (entry.settled || entry.cutMs === null || entry.cutMs >= tMs) continue;
      entry.caption = { ...entry.caption, endMs: entry.cutMs, text: "", unheard: entry.words };
    }
  }

  #push(by: Caption["by"], tMs: number, text: string, settled: boolean): void {
    const words = text.trim().slice(0, MAX_TEXT_CHARS);
    const caption = { id: this.#nextId++, by, tMs, endMs: settled ? tMs : null, text: words, unheard: "" };
    this.#entries.push({ caption, words, cutMs: null, settled });
    while (this.#entries.length > CAPACITY) {
      const oldest = this.#entries.shift()!;
      this.#olderNumber = numberIn(oldest.caption) ?? this.#olderNumber;
    }
  }
}

/** The last number in figures among the words that sounded: "12", "1:30", "2.5". */
function numberIn({ by, text }: Caption): string | null {
  if (by !== "said") return null;
  return text.match(/\d+(?:[.,:]\d+)*/g)?.at(-1) ?? null;
}
