/** Tokens that may wait: some 20 s of reading at 24 a micro-turn. */
const MAX_WAITING = 2400;

/** Typed text on its way to the model: first come, first read, at most so many tokens a micro-turn. */
export class TextQueue {
  readonly #perTurn: number;
  #waiting: number[] = [];

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
  }

  /** Returns how many of the tokens, the last ones, found the queue full and are lost. */
  add(tokens: readonly number[]): number {
    const room = MAX_WAITING - this.#waiting.length;
    this.#waiting.push(...tokens.slice(0, room));
    return Math.max(0, tokens.length - room);
  }

  /** What the next micro-turn reads. */
  take(): number[] {
    return this.#waiting.splice(0, this.#perTurn);
  }

  clear(): void {
    this.#waiting = [];
  }
}
