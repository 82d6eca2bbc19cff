import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import { ZERO_TOKEN } from "./language-model.ts";

/** The text streams' token for "nothing is said in this frame". */
export const TEXT_PAD = 3;
/** A word begins after this one. */
export const TEXT_WORD = 0;
export const TEXT_EOS = 2;
/** Marks a token that has not been made yet; never reaches the network. */
const UNGENERATED = -2;

/** Which streams a model has, and how far each lies behind the first. */
export interface StreamLayout {
  /** Audio codebooks, the model's own first. */
  readonly nQ: number;
  /** Of these: the ones that it makes itself. The others come in. */
  readonly depQ: number;
  /** (1 + nQ) steps of delay: text, then each codebook. */
  readonly delays: readonly number[];
  /** Text tokens; this id itself stands for "before the first". */
  readonly textCard: number;
  /** Codes of a codebook; this id itself stands for "before the first". */
  readonly card: number;
}

/** The last steps' tokens of every stream, on the delayed time line: text, then each codebook. */
export class TokenCache {
  readonly #layout: StreamLayout;
  readonly #capacity: number;
  readonly #tokens: Int32Array;

  /** @param extraSteps How many steps are kept beside those that the longest delay needs. */
  constructor(layout: StreamLayout, extraSteps: number) {
    expectLength("streams", "delays", layout.delays.length, 1 + layout.nQ);
    this.#layout = layout;
    this.#capacity = Math.max(...layout.delays) + extraSteps;
    this.#tokens = new Int32Array((1 + layout.nQ) * this.#capacity);
    this.reset();
  }

  reset(): void {
    this.#tokens.fill(UNGENERATED);
  }

  /** Streams, text included. */
  get rows(): number {
    return 1 + this.#layout.nQ;
  }

  /** Steps that are kept. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The longest delay, in steps. */
  get maxDelay(): number {
    return Math.max(...this.#layout.delays);
  }

  /** Token of `row` at `step`, counted from the session's start. */
  at(row: number, step: number): number {
    return this.#tokens[row * this.#capacity + (step % this.#capacity)]!;
  }

  set(row: number, step: number, token: number): void {
    this.#tokens[row * this.#capacity + (step % this.#capacity)] = token;
  }

  /** What stands before a stream's first token. */
  initial(row: number): number {
    return row === 0 ? this.#layout.textCard : this.#layout.card;
  }

  /** Rows [0, count) of the frame that is complete after `step`: each stream with its delay taken out. */
  aligned(count: number, step: number): Int32Array {
    const { delays } = this.#layout;
    return Int32Array.from({ length: count }, (_, row) => this.at(row, step - this.maxDelay + delays[row]!));
  }

  /**
   * The first `count` codes of the frame that `step` will complete, as far as they are known: null for what is sampled for
   * `step` itself. Null where no frame will be complete.
   */
  awaited(count: number, step: number): (number | null)[] | null {
    if (step <= this.maxDelay) return null;
    const { delays } = this.#layout;
    return Array.from({ length: count }, (_, q) => {
      const at = step - this.maxDelay + delays[1 + q]!;
      return at === step ? null : this.at(1 + q, at);
    });
  }

  /** What the network takes in. @throws RuntimeError "internal" where a stream has no token yet. */
  column(tokenOf: (row: number) => number): Int32Array {
    const column = Int32Array.from({ length: this.rows }, (_, row) => tokenOf(row));
    const missing = column.findIndex((token) => token < ZERO_TOKEN);
    if (missing >= 0) {
      throw new RuntimeError("internal", { part: "streams", problem: `stream ${missing} has no token yet` });
    }
    return column;
  }
}

/** @throws RuntimeError unless `codes` holds one code of [-1, card] for each of `count` codebooks. */
export function expectCodes(part: string, codes: ArrayLike<number>, count: number, card: number): void {
  expectLength(part, "a frame of codes", codes.length, count);
  for (let q = 0; q < count; q++) {
    const code = codes[q]!;
    if (!Number.isInteger(code) || code < ZERO_TOKEN || code > card) {
      throw new RuntimeError("invalid-argument", {
        part,
        problem: `code ${code} of codebook ${q} is outside [-1, ${card}]`,
      });
    }
  }
}
