/** How far one output of a check lies from the original's. */
export type OutputReport = NumbersReport | TokensReport;

export interface NumbersReport {
  kind: "numbers";
  /** The tensor that it was compared with. */
  output: string;
  /** Largest |actual - expected|. NaN if anything was no number. */
  largest: number;
  /** Root of the mean squared difference. */
  rms: number;
  /** Where the largest is: "step 3, element 17". */
  at: string;
  compared: number;
  /** Null where the difference is only reported. */
  tolerance: number | null;
  ok: boolean;
}

export interface TokensReport {
  kind: "tokens";
  output: string;
  compared: number;
  /** How many of these are the original's. */
  same: number;
  /** The first that is not the original's. */
  firstDifference: { at: string; actual: number; expected: number } | null;
  /** Differences that rounding explains: near-ties in the original itself. */
  nearTies: number;
  /** False where differences are only reported. */
  judged: boolean;
  ok: boolean;
}

/** What became of one kind of check of one set. */
export interface CheckReport {
  set: string;
  check: string;
  outputs: OutputReport[];
}

/** Gathers the differences of one output. */
export class NumberComparison {
  readonly #output: string;
  readonly #tolerance: number | null;
  #largest = 0;
  #squares = 0;
  #at = "";
  #compared = 0;

  constructor(output: string, tolerance: number | null) {
    this.#output = output;
    this.#tolerance = tolerance;
  }

  /** @param place For messages: "step 3". */
  add(actual: ArrayLike<number>, expected: ArrayLike<number>, place: string): void {
    const count = Math.max(actual.length, expected.length);
    for (let i = 0; i < count; i++) {
      // What one side lacks is no number either.
      const difference = Math.abs((actual[i] ?? Number.NaN) - (expected[i] ?? Number.NaN));
      this.#compared++;
      this.#squares += difference * difference;
      if (difference <= this.#largest || Number.isNaN(this.#largest)) continue;
      this.#largest = difference;
      this.#at = `${place}, element ${i}`;
    }
  }

  report(): NumbersReport {
    const tolerance = this.#tolerance;
    return {
      kind: "numbers",
      output: this.#output,
      largest: this.#largest,
      rms: this.#compared === 0 ? 0 : Math.sqrt(this.#squares / this.#compared),
      at: this.#at,
      compared: this.#compared,
      tolerance,
      ok: this.#compared > 0 && this.#largest <= (tolerance ?? Number.POSITIVE_INFINITY),
    };
  }
}

/** Gathers the differences of tokens that were sampled or given out. */
export class TokenComparison {
  readonly #output: string;
  readonly #judged: boolean;
  #compared = 0;
  #same = 0;
  #nearTies = 0;
  #first: TokensReport["firstDifference"] = null;

  constructor(output: string, judged: boolean) {
    this.#output = output;
    this.#judged = judged;
  }

  /** True once a token differed. */
  get hasDiffered(): boolean {
    return this.#first !== null;
  }

  add(actual: ArrayLike<number>, expected: ArrayLike<number>, place: string): void {
    const count = Math.max(actual.length, expected.length);
    for (let i = 0; i < count; i++)
      this.addOne(actual[i] ?? Number.NaN, expected[i] ?? Number.NaN, `${place}, row ${i}`);
  }

  addOne(actual: number, expected: number, at: string): void {
    this.#compared++;
    if (actual === expected) this.#same++;
    else this.#first ??= { at, actual, expected };
  }

  /** Counts one whose difference says nothing. */
  addNearTie(): void {
    this.#nearTies++;
  }

  report(): TokensReport {
    return {
      kind: "tokens",
      output: this.#output,
      compared: this.#compared,
      same: this.#same,
      firstDifference: this.#first,
      nearTies: this.#nearTies,
      judged: this.#judged,
      ok: this.#compared > 0 && (!this.#judged || this.#first === null),
    };
  }
}
