import { cleanText } from "../protocol/fields.ts";

const HIGH_SURROGATE_AT_END = /[\ud800-\udbff]$/;

/** Text that grows piece by piece and is, at any moment, a text that the protocol takes. */
export class GrowingText {
  readonly #maxChars: number;
  /** Half of a surrogate pair whose other half is in the next piece. */
  #half = "";
  #text = "";

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  get text(): string {
    return this.#text;
  }

  get full(): boolean {
    return this.#text.length >= this.#maxChars;
  }

  /** @returns what it has grown by. */
  append(piece: string): string {
    const joined = this.#half + piece;
    this.#half = HIGH_SURROGATE_AT_END.exec(joined)?.[0] ?? "";
    const whole = joined.slice(0, joined.length - this.#half.length);
    const grown = cleanText(whole, this.#maxChars - this.#text.length);
    this.#text += grown;
    return grown;
  }
}
