import { RuntimeError } from "../../../src/core/errors.ts";
import type { SentencePieceModel } from "./model-file.ts";

/** Stands for a space inside pieces. */
export const SPACE_SYMBOL = "\u2581";

/**
 * Replaces by longest match: a trie in a double array (github.com/s-yata/darts-clone) over UTF-8 bytes, whose leaves are
 * offsets into strings that end in a zero.
 */
class CharacterMap {
  readonly #trie: Uint32Array;
  readonly #strings: Uint8Array;
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  /** @throws RuntimeError "invalid-checkpoint" if the trie is cut. */
  constructor(charsmap: Uint8Array) {
    const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.byteLength);
    const trieBytes = charsmap.byteLength >= 4 ? view.getUint32(0, true) : 0;
    if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > charsmap.byteLength - 4) {
      throw new RuntimeError("invalid-checkpoint", {
        part: "tokenizer",
        problem: `a character map of ${charsmap.byteLength} bytes says that ${trieBytes} are its trie`,
      });
    }
    this.#trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#strings = charsmap.subarray(4 + trieBytes);
  }

  /** What the longest known beginning of `bytes` from `start` on is replaced by; null if none is known. */
  match(bytes: Uint8Array, start: number): { text: string; length: number } | null {
    let found: { offset: number; length: number } | null = null;
    let node = offsetOf(this.#trie[0]!);
    for (let i = start; i < bytes.length; i++) {
      node ^= bytes[i]!;
      const unit = this.#trie[node];
      // The label with the leaf's bit: a leaf matches no byte.
      if (unit === undefined || (unit & 0x8000_00ff) !== bytes[i]!) break;
      node ^= offsetOf(unit);
      const leaf = this.#trie[node];
      if ((unit >>> 8) & 1 && leaf !== undefined)
        found = { offset: leaf & 0x7fff_ffff, length: i + 1 - start };
    }
    if (!found) return null;
    const end = this.#strings.indexOf(0, found.offset);
    return {
      text: this.#utf8.decode(this.#strings.subarray(found.offset, end < 0 ? undefined : end)),
      length: found.length,
    };
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** Brings a text into the form that a model's pieces are of. */
export class Normalizer {
  readonly #options: SentencePieceModel["normalizer"];
  readonly #map: CharacterMap | null;
  /** Symbols that no rule touches, longest first. */
  readonly #symbols: readonly string[];

  constructor({ normalizer, pieces }: SentencePieceModel) {
    this.#options = normalizer;
    this.#map = normalizer.charsmap.length > 0 ? new CharacterMap(normalizer.charsmap) : null;
    this.#symbols = pieces
      .filter(({ kind }) => kind === "user-defined")
      .map(({ text }) => text)
      .sort((a, b) => b.length - a.length);
  }

  /** @param text Lone surrogates become U+FFFD. */
  normalize(text: string): string {
    const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces, whitespaceAsSuffix } = this.#options;
    const space = escapeWhitespaces ? SPACE_SYMBOL : " ";
    let out = "";
    let afterSpace = removeExtraWhitespaces;
    for (const part of this.#parts(text)) {
      const kept = afterSpace ? part.replace(/^ +/, "") : part;
      out += kept.replaceAll(" ", space);
      if (kept !== "") afterSpace = kept.endsWith(" ");
      if (!removeExtraWhitespaces) afterSpace = false;
    }
    while (removeExtraWhitespaces && out.endsWith(space)) out = out.slice(0, -space.length);
    if (out === "" || !addDummyPrefix) return out;
    return whitespaceAsSuffix ? out + space : space + out;
  }

  /** The text in parts, each as the rules leave it. */
  *#parts(text: string): Generator<string> {
    const bytes = new TextEncoder().encode(text);
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    const symbols = this.#symbols.map((symbol) => ({ symbol, bytes: new TextEncoder().encode(symbol) }));
    for (let at = 0; at < bytes.length; ) {
      const symbol = symbols.find((candidate) => candidate.bytes.every((byte, i) => bytes[at + i] === byte));
      const replaced = symbol ? null : (this.#map?.match(bytes, at) ?? null);
      const length = symbol?.bytes.length ?? replaced?.length ?? characterBytes(bytes[at]!);
      yield symbol?.symbol ?? replaced?.text ?? utf8.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
}

/** Bytes of a UTF-8 character, by its first. */
export function characterBytes(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
