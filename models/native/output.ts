import type { OutputPart } from "../../src/core/micro-turn.ts";
import type { NativeConfig } from "./config.ts";
import type { NativeTokenizer } from "./tokenizer.ts";

/** A task that goes on and on is cut here, characters. */
const MAX_TASK_CHARS = 4000;

/**
 * Turns output tokens into parts: words in a row are one `speech`; the words from `<delegate>` to the end of the block are
 * a task for the reasoner, which goes on in the next block if the cap closed this one. A character whose bytes come in
 * several tokens, even in several micro-turns, is given out when it is whole; one that never is becomes U+FFFD.
 */
export class OutputDecoder {
  readonly #tokens: NativeConfig["tokens"];
  readonly #tokenizer: NativeTokenizer;
  #utf8 = new TextDecoder();
  /** The task that is being worded, or null. */
  #task: string | null = null;

  constructor(config: NativeConfig, tokenizer: NativeTokenizer) {
    this.#tokens = config.tokens;
    this.#tokenizer = tokenizer;
  }

  decode(output: readonly number[]): OutputPart[] {
    const parts: OutputPart[] = [];
    let text = "";
    const endWords = () => {
      if (this.#task !== null) {
        const task = this.#task.trim();
        if (task !== "") parts.push({ kind: "action", name: "delegate", args: { text: task } });
        this.#task = null;
      }
      if (text !== "") parts.push({ kind: "speech", text });
      text = "";
    };
    for (const id of output) {
      if (id === this.#tokens.yield) {
        endWords();
        parts.push({ kind: "yield" });
      } else if (id === this.#tokens.delegate) {
        endWords();
        this.#task = "";
      } else if (id === this.#tokens.next) {
        endWords();
      } else {
        const words = this.#utf8.decode(this.#tokenizer.bytes(id), { stream: true });
        if (this.#task === null) text += words;
        else this.#task = (this.#task + words).slice(0, MAX_TASK_CHARS);
      }
    }
    // A block without <next> was closed by its cap: a task may go on, what is said is said as far as it came.
    if (this.#task === null) endWords();
    return parts;
  }

  reset(): void {
    this.#utf8 = new TextDecoder();
    this.#task = null;
  }
}
