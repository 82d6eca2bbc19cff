import { RuntimeError } from "../../../src/core/errors.ts";
import { ZERO_TOKEN } from "../language-model.ts";
import { TEXT_PAD, TEXT_WORD } from "../streams.ts";
import type { ScriptEntry } from "./script.ts";

/** Entries that may wait: hours of speech. */
const MAX_ENTRIES = 100_000;

export interface StateMachineOptions {
  textCard: number;
  /** The second text stream runs this many words ahead; 0 is none. */
  secondStreamAhead: number;
  /** Frames after a word after which the next one begins whatever the network samples. */
  maxPadding: number;
  /** Frames before the first word. */
  initialPadding: number;
}

/**
 * Makes of what the network samples, "a word begins" or "nothing", the text token that it is fed: the pieces of the
 * script's next word when one begins. What is still to be said may come while it runs.
 */
export class StateMachine {
  readonly #options: StateMachineOptions;
  readonly #entries: ScriptEntry[] = [];
  /** Pieces of the word that has begun. */
  readonly #queued: number[] = [];
  /** Pieces for the second stream. */
  readonly #ahead: number[] = [];
  #remainingPadding: number;
  #forcedPadding: number;
  #closed = false;
  #endStep: number | null = null;

  constructor(options: StateMachineOptions) {
    this.#options = options;
    this.#remainingPadding = options.initialPadding;
    this.#forcedPadding = options.initialPadding;
  }

  /** The step in which the script was found to be over, or null. */
  get endStep(): number | null {
    return this.#endStep;
  }

  /** @throws RuntimeError "queue-full", or "invalid-argument" after `close`. */
  push(entries: readonly ScriptEntry[]): void {
    if (this.#closed) {
      throw new RuntimeError("invalid-argument", {
        part: "text-to-speech",
        problem: "the script has been closed",
      });
    }
    if (this.#entries.length + entries.length > MAX_ENTRIES) {
      throw new RuntimeError("queue-full", {
        part: "text-to-speech",
        problem: `more than ${MAX_ENTRIES} words wait to be said`,
      });
    }
    this.#entries.push(...entries);
  }

  /** Nothing more is to be said. */
  close(): void {
    this.#closed = true;
  }

  /** False while the next step may need a word that has not come yet, be it for the second stream. */
  get isReady(): boolean {
    if (this.#closed || this.#queued.length > 0 || this.#forcedPadding > 0) return true;
    const next = this.#entries[0];
    if (!next || next.tokens.length === 0) return next !== undefined;
    return this.#following(this.#options.secondStreamAhead) !== null;
  }

  /** True if the next step gives the same whatever is sampled. */
  get isDetermined(): boolean {
    return this.#queued.length > 0 || this.#forcedPadding > 0 || this.#remainingPadding <= 0;
  }

  /**
   * One step.
   *
   * @returns the token to feed, with the second stream in it, and the entry that has begun.
   */
  next(step: number, sampled: number): { token: number; begun: ScriptEntry | null } {
    let token = sampled === TEXT_WORD ? TEXT_WORD : TEXT_PAD;
    if (this.#queued.length > 0 || this.#forcedPadding > 0) token = TEXT_PAD;
    else if (this.#remainingPadding <= 0) token = TEXT_WORD;

    let begun: ScriptEntry | null = null;
    if (token === TEXT_WORD) {
      begun = this.#entries.shift() ?? null;
      token = begun ? this.#begin(begun) : this.#end(step);
    }
    if (token === TEXT_PAD) {
      this.#remainingPadding = Math.max(0, this.#remainingPadding - 1);
      this.#forcedPadding = Math.max(0, this.#forcedPadding - 1);
      token = this.#queued.shift() ?? TEXT_PAD;
    }
    return { token: this.#withSecondStream(token), begun };
  }

  #begin(entry: ScriptEntry): number {
    this.#forcedPadding = entry.padding;
    if (entry.tokens.length === 0) return TEXT_PAD;
    this.#queued.push(...entry.tokens);
    const { secondStreamAhead, maxPadding } = this.#options;
    if (secondStreamAhead > 0) this.#ahead.push(...(this.#following(secondStreamAhead - 1)?.tokens ?? []));
    this.#remainingPadding = maxPadding;
    return TEXT_WORD;
  }

  #end(step: number): number {
    const isFirst = this.#endStep === null;
    this.#endStep ??= step;
    return isFirst && this.#options.secondStreamAhead > 0 ? TEXT_WORD : TEXT_PAD;
  }

  /** The waiting word that comes after `skipped` others; pauses do not count. */
  #following(skipped: number): ScriptEntry | null {
    let left = skipped;
    for (const entry of this.#entries) {
      if (entry.tokens.length > 0 && left-- === 0) return entry;
    }
    return null;
  }

  #withSecondStream(token: number): number {
    const { secondStreamAhead, textCard } = this.#options;
    if (secondStreamAhead === 0) return token;
    if (token === TEXT_WORD) {
      const first = this.#queued.shift() ?? TEXT_PAD;
      return (TEXT_WORD + 1) * (textCard + 1) + first;
    }
    const second = this.#ahead.shift() ?? ZERO_TOKEN;
    return (second + 1) * (textCard + 1) + token;
  }
}
