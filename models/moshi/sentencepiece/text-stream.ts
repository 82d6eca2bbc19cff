import { TEXT_PAD, TEXT_WORD } from "../streams.ts";
import { byteOf } from "./model-file.ts";
import { SPACE_SYMBOL } from "./normalizer.ts";
import type { SentencePiece } from "./sentencepiece.ts";

/**
 * The text of a model that speaks, as its tokens come: what marks words and pauses, and control tokens, print nothing; a
 * character that is spelt in bytes appears with its last byte.
 */
export class TextStream {
  readonly #tokenizer: SentencePiece;
  #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer: SentencePiece) {
    this.#tokenizer = tokenizer;
  }

  /** What this token adds; a word begins with a space. @throws RuntimeError "invalid-argument" for a token of no piece. */
  push(token: number): string {
    if (token === TEXT_PAD || token === TEXT_WORD) return "";
    const { kind, text } = this.#tokenizer.piece(token);
    if (kind === "byte") return this.#utf8.decode(Uint8Array.of(byteOf(text)!), { stream: true });
    if (kind === "control" || kind === "unknown") return "";
    return this.#utf8.decode() + text.replaceAll(SPACE_SYMBOL, " ");
  }

  reset(): void {
    this.#utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  }
}
