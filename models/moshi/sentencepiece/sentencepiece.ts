import { readFile } from "node:fs/promises";
import { RuntimeError } from "../../../src/core/errors.ts";
import { byteIds, byteOf, type Piece, parseSentencePiece, type SentencePieceModel } from "./model-file.ts";
import { characterBytes, Normalizer, SPACE_SYMBOL } from "./normalizer.ts";

/** How much less likely than the rarest piece an unknown character is. */
const UNKNOWN_PENALTY = 10;
/** What is encoded at once: a book, not a stream. */
const MAX_TEXT_LENGTH = 1_000_000;

/**
 * A SentencePiece tokenizer of the unigram type, as Kyutai's models use: reads the published `.model`, and encodes and
 * decodes as the original library does. The packages that wrap that library give no piece for an id, which streamed
 * text needs.
 */
export class SentencePiece {
  readonly #model: SentencePieceModel;
  readonly #normalizer: Normalizer;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #byteIds: readonly number[];
  readonly #unknownId: number;
  readonly #unknownScore: number;
  readonly #maxScore: number;
  /** In characters. */
  readonly #longestPiece: number;

  /** @throws RuntimeError "missing-file" or "invalid-checkpoint", see parseSentencePiece. */
  static async open(path: string): Promise<SentencePiece> {
    try {
      return new SentencePiece(parseSentencePiece(await readFile(path), path));
    } catch (cause) {
      if (cause instanceof RuntimeError) throw cause;
      throw new RuntimeError("missing-file", { part: "tokenizer", problem: `${path} cannot be read`, cause });
    }
  }

  constructor(model: SentencePieceModel) {
    this.#model = model;
    this.#normalizer = new Normalizer(model);
    const spelt = [...model.pieces.entries()].filter(
      ([, { kind }]) => kind === "normal" || kind === "user-defined",
    );
    this.#ids = new Map(spelt.map(([id, { text }]) => [text, id]));
    this.#byteIds = byteIds(model);
    this.#unknownId = model.pieces.findIndex(({ kind }) => kind === "unknown");
    let min = 0;
    let max = -Infinity;
    let longest = 1;
    for (const { text, score, kind } of model.pieces) {
      longest = Math.max(longest, [...text].length);
      if (kind !== "normal") continue;
      min = Math.min(min, score);
      max = Math.max(max, score);
    }
    this.#unknownScore = min - UNKNOWN_PENALTY;
    this.#maxScore = max;
    this.#longestPiece = longest;
  }

  /** Ids that there are: [0, size). */
  get size(): number {
    return this.#model.pieces.length;
  }

  /** @throws RuntimeError "invalid-argument" for an id that there is none of. */
  piece(id: number): Piece {
    const piece = this.#model.pieces[id];
    if (!piece) {
      throw new RuntimeError("invalid-argument", {
        part: "tokenizer",
        problem: `there is no piece ${id}, expected 0 to ${this.size - 1}`,
      });
    }
    return piece;
  }

  /**
   * The likeliest pieces that spell the text.
   *
   * @throws RuntimeError "invalid-argument" for a text of more than a million characters.
   */
  encode(text: string): number[] {
    if (text.length > MAX_TEXT_LENGTH) {
      throw new RuntimeError("invalid-argument", {
        part: "tokenizer",
        problem: `a text of ${text.length} characters, expected at most ${MAX_TEXT_LENGTH}`,
      });
    }
    const characters = [...this.#normalizer.normalize(text)];
    const ids: number[] = [];
    let afterUnknown = false;
    for (const { id, start, end } of this.#likeliest(characters)) {
      const isUnknown = id === this.#unknownId;
      if (isUnknown && this.#model.byteFallback) {
        const bytes = new TextEncoder().encode(characters.slice(start, end).join(""));
        for (const byte of bytes) ids.push(this.#byteIds[byte]!);
      } else if (!(isUnknown && afterUnknown)) ids.push(id);
      afterUnknown = isUnknown;
    }
    return ids;
  }

  /**
   * The text of these pieces. Bytes that make no character are U+FFFD each.
   *
   * @throws RuntimeError "invalid-argument" for an id that there is none of.
   */
  decode(ids: readonly number[]): string {
    const { addDummyPrefix, removeExtraWhitespaces } = this.#model.normalizer;
    let text = "";
    let mayStrip = addDummyPrefix || removeExtraWhitespaces;
    for (let i = 0; i < ids.length; i++) {
      const { kind, text: spelt } = this.piece(ids[i]!);
      if (kind === "byte") {
        const bytes = [byteOf(spelt)!];
        for (; i + 1 < ids.length && this.piece(ids[i + 1]!).kind === "byte"; i++) {
          bytes.push(byteOf(this.piece(ids[i + 1]!).text)!);
        }
        text += decodeBytes(Uint8Array.from(bytes));
      } else if (kind === "unknown") text += this.#model.unknownSurface;
      else if (kind !== "control") {
        const strips = mayStrip && text === "" && spelt.startsWith(SPACE_SYMBOL);
        if (strips && !removeExtraWhitespaces) mayStrip = false;
        text += (strips ? spelt.slice(SPACE_SYMBOL.length) : spelt).replaceAll(SPACE_SYMBOL, " ");
      }
    }
    return text;
  }

  /** The way through the characters with the highest sum of scores (Viterbi). Sums are kept in f32, as the original's. */
  #likeliest(characters: readonly string[]): { id: number; start: number; end: number }[] {
    const scores = new Float32Array(characters.length + 1);
    const starts = new Int32Array(characters.length + 1).fill(-1);
    const ids = new Int32Array(characters.length + 1);
    const offer = (id: number, start: number, end: number, score: number): void => {
      const candidate = score + scores[start]!;
      if (starts[end] !== -1 && !(candidate > scores[end]!)) return;
      scores[end] = candidate;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < characters.length; start++) {
      let spelt = "";
      let isKnown = false;
      const last = Math.min(characters.length, start + this.#longestPiece);
      for (let end = start + 1; end <= last; end++) {
        spelt += characters[end - 1];
        const id = this.#ids.get(spelt);
        if (id === undefined) continue;
        const { kind, score } = this.#model.pieces[id]!;
        const isSymbol = kind === "user-defined";
        // A symbol of the user's is always taken.
        offer(
          id,
          start,
          end,
          isSymbol ? new TextEncoder().encode(spelt).length * this.#maxScore - 0.1 : score,
        );
        if (end === start + 1) isKnown = true;
      }
      if (!isKnown) offer(this.#unknownId, start, start + 1, this.#unknownScore);
    }
    const path: { id: number; start: number; end: number }[] = [];
    for (let end = characters.length; end > 0; end = starts[end]!) {
      path.push({ id: ids[end]!, start: starts[end]!, end });
    }
    return path.reverse();
  }
}

/** UTF-8 with U+FFFD for each byte that belongs to no character. */
function decodeBytes(bytes: Uint8Array): string {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = characterBytes(bytes[at]!);
    try {
      text += utf8.decode(bytes.subarray(at, at + length));
      at += length;
    } catch {
      text += "\ufffd";
      at++;
    }
  }
  return text;
}
