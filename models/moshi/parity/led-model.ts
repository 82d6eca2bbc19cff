import type { FrameInput, FrameOutput, LanguageModel } from "../language-model.ts";

/** What one step said: text, then audio codes. */
export interface StepTokens {
  text: number;
  audio: ArrayLike<number>;
}

/**
 * A network that is led through another's run: whatever it would say, the step goes on with what the other said there, so
 * that both have the same past in every step and all of a run can be compared. What comes from outside is left as it is.
 */
export class LedModel implements LanguageModel {
  /** What the newest step would have said by itself. */
  own: StepTokens = { text: -1, audio: [] };
  readonly #model: LanguageModel;
  readonly #saidAt: (step: number) => StepTokens | null;
  #step = 0;

  /**
   * @param model  Borrowed.
   * @param saidAt What the other said in a step, counted from the last reset; null where that is not known.
   */
  constructor(model: LanguageModel, saidAt: (step: number) => StepTokens | null) {
    this.#model = model;
    this.#saidAt = saidAt;
  }

  async frame(input: FrameInput): Promise<FrameOutput> {
    const said = this.#saidAt(this.#step++);
    if (said === null) return this.#model.frame(input);
    const audio = Array.from(said.audio, (token, k) => input.audio?.[k] ?? token);
    const output = await this.#model.frame({ ...input, text: input.text ?? said.text, audio });
    this.own = { text: output.text, audio: output.audio };
    return {
      ...output,
      text: said.text,
      audio: Int32Array.from(said.audio).subarray(0, output.audio.length),
    };
  }

  async reset(): Promise<void> {
    await this.#model.reset();
    this.#step = 0;
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

/** The token that a greedy draw takes: the first of the largest logits. */
export function likeliest(logits: ArrayLike<number>): number {
  let token = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[token]!) token = i;
  return token;
}

/** The same for each of several rows. @param logits (rows, card), row-major. */
export function likeliestOfRows(logits: Float32Array, card: number): number[] {
  return Array.from({ length: logits.length / card }, (_, row) =>
    likeliest(logits.subarray(row * card, (row + 1) * card)),
  );
}
