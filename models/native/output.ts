import type { OutputPart } from "../../src/core/micro-turn.ts";
import type { NativeConfig } from "./config.ts";
import type { NativeTokenizer } from "./tokenizer.ts";

/**
 * Turns output tokens into parts: words in a row are one `speech`. A character whose bytes come in several tokens, even in
 * several micro-turns, is given out when it is whole; one that never is becomes U+FFFD.
 */
export class OutputDecoder {
  readonly #tokens: NativeConfig["tokens"];
  readonly #tokenizer: NativeTokenizer;
  #utf8 = new TextDecoder();

  constructor(config: NativeConfig, tokenizer: NativeTokenizer) {
    this.#tokens = config.tokens;
    this.#tokenizer = tokenizer;
  }

  decode(output: readonly number[]): OutputPart[] {
    const parts: OutputPart[] = [];
    let text = "";
    const endSpeech = () => {
      if (text !== "") parts.push({ kind: "speech", text });
      text = "";
    };
    for (const id of output) {
      if (id === this.#tokens.yield) {
        endSpeech();
        parts.push({ kind: "yield" });
      } else {
        text += this.#utf8.decode(this.#tokenizer.bytes(id), { stream: true });
      }
    }
    endSpeech();
    return parts;
  }

  reset(): void {
    this.#utf8 = new TextDecoder();
  }
}
