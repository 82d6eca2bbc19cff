import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { failFor } from "../tensors/json.ts";
import { type Checkpoint, readText, TOKENIZER_FILE } from "./checkpoint.ts";
import type { NativeConfig } from "./config.ts";

/** Marks the start of a word in a token's piece. */
const SPACE = "▁";

/** A longer text is cut before it is encoded: it would keep the model busy for a minute and more. */
const MAX_TEXT_CHARACTERS = 4000;

/** The part of tokenizer.json that is read here; the library reads the rest. */
const schema = z.object({
  model: z.object({ type: z.literal("BPE"), vocab: z.record(z.string(), z.int().min(0)) }),
  added_tokens: z.array(z.object({ id: z.int().min(0), content: z.string() })),
});

/** Turns typed text into tokens and said tokens into text. */
export class NativeTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #typed: number;
  /** By id: the bytes that a token stands for; null for a special token. */
  readonly #bytes: readonly (Uint8Array | null)[];

  private constructor(tokenizer: Tokenizer, bytes: readonly (Uint8Array | null)[], typed: number) {
    this.#tokenizer = tokenizer;
    this.#bytes = bytes;
    this.#typed = typed;
  }

  /**
   * Reads a checkpoint's `tokenizer.json`.
   *
   * @throws RuntimeError "missing-file", or "invalid-checkpoint" if it is not a BPE tokenizer with this vocabulary.
   */
  static async load({ directory, config }: Checkpoint): Promise<NativeTokenizer> {
    const source = join(directory, TOKENIZER_FILE);
    return NativeTokenizer.parse(await readText(source), config, source);
  }

  /** @param source For messages: the file's path. */
  static parse(json: string, config: NativeConfig, source: string): NativeTokenizer {
    const fail = failFor("tokenizer", source);
    let document: object;
    let parsed: z.infer<typeof schema>;
    let tokenizer: Tokenizer;
    try {
      document = JSON.parse(json);
      parsed = schema.parse(document);
      tokenizer = new Tokenizer(document, {});
    } catch (cause) {
      return fail("is not a BPE tokenizer in the Hugging Face format", cause);
    }
    const pieces = new Array<string | undefined>(config.vocabSize).fill(undefined);
    for (const [piece, id] of Object.entries(parsed.model.vocab)) {
      if (id >= config.vocabSize) fail(`token ${id} is past the vocabulary of ${config.vocabSize}`);
      pieces[id] = piece;
    }
    for (const { id, content } of parsed.added_tokens) {
      if (id >= config.vocabSize) fail(`token ${id} is past the vocabulary of ${config.vocabSize}`);
      pieces[id] = content;
    }
    for (const [name, id] of Object.entries(config.tokens)) {
      if (id !== undefined && pieces[id] !== `<${name}>`)
        fail(`token ${id} is ${pieces[id] ?? "missing"}, expected <${name}>`);
    }
    const special = new Set(parsed.added_tokens.map(({ id }) => id));
    const bytes = pieces.map((piece, id) => (special.has(id) ? null : bytesOf(piece ?? "")));
    return new NativeTokenizer(tokenizer, bytes, config.tokens.typed);
  }

  /**
   * The tokens of one typed text: `<typed>`, then the text with one leading space. Empty for a text without words.
   * Special tokens that stand in the text by name are left out: only the model may say `<yield>`.
   */
  encodeTyped(text: string): number[] {
    const words = text.slice(0, MAX_TEXT_CHARACTERS).trim();
    if (words === "") return [];
    const { ids } = this.#tokenizer.encode(` ${words}`, { add_special_tokens: false });
    return [this.#typed, ...ids.filter((id: number) => this.#bytes[id] != null)];
  }

  /** The UTF-8 bytes that a token adds to the text; none for a special token. A character may span several tokens. */
  bytes(id: number): Uint8Array {
    return this.#bytes[id] ?? new Uint8Array();
  }
}

/** `<0xE2>` is one byte; anything else is text with ▁ for a space. */
function bytesOf(piece: string): Uint8Array {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(piece);
  if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
  return new TextEncoder().encode(piece.replaceAll(SPACE, " "));
}
