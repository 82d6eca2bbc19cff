/** Phrases that wait for the voice. Beyond it the oldest goes: a stale count is worth less than the present one. */
const CAPACITY = 32;

/** Phrases that the voice has not been given, oldest first. */
export class WaitingPhrases {
  /** Given up because too many waited. */
  dropped = 0;
  readonly #phrases: string[] = [];

  get length(): number {
    return this.#phrases.length;
  }

  push(phrase: string): void {
    this.#phrases.push(phrase);
    if (this.#phrases.length > CAPACITY) {
      this.#phrases.shift();
      this.dropped++;
    }
  }

  shift(): string | undefined {
    return this.#phrases.shift();
  }

  /** Gives up all, and returns them. */
  flush(): string[] {
    return this.#phrases.splice(0);
  }
}
