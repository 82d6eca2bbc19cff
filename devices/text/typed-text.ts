import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";

/** One typed text. */
export interface TypedText {
  /** Session time, seconds. */
  seconds: number;
  text: string;
}

/** Texts typed at times known beforehand. */
export class TypedTexts implements Source {
  readonly kind = "events";
  readonly recorded = true;
  readonly name = "typed text";
  readonly #texts: readonly TypedText[];

  /** @throws RuntimeError "invalid-argument" for a time that is negative or no number. */
  constructor(texts: readonly TypedText[]) {
    const wrong = texts.find(({ seconds }) => !(seconds >= 0 && Number.isFinite(seconds)));
    if (wrong) {
      throw new RuntimeError("invalid-argument", {
        part: this.name,
        problem: `a text at second ${wrong.seconds}, expected 0 or later`,
      });
    }
    this.#texts = texts.toSorted((a, b) => a.seconds - b.seconds);
  }

  async *open(_clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    for (const { seconds, text } of this.#texts) {
      if (signal.aborted) return;
      const timeMs = seconds * 1000;
      yield { kind: "event", captureMs: timeMs, event: { kind: "text", timeMs, text } };
    }
  }
}
