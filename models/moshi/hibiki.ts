import { RuntimeError } from "../../src/core/errors.ts";
import { Generation, type GenerationStep } from "./generation.ts";
import type { LanguageModel } from "./language-model.ts";
import { type StreamLayout, TEXT_EOS, TEXT_PAD } from "./streams.ts";

/** The condition "description" that speech should be translated under. */
export const HIBIKI_QUALITY = "very_good";
/** What the unconditioned half is given under guidance: a low quality, not the absence of one. */
export const HIBIKI_GUIDANCE_QUALITY = "very_bad";

/**
 * Simultaneous translation: frames of speech in, frames of the translation out. The stream ends when the translation is
 * complete: say `endInput`, then give the codes of silence until a step is `last`.
 */
export class Hibiki {
  readonly #generation: Generation;
  readonly #layout: StreamLayout;
  #ended = false;

  /** @param model Made with the condition HIBIKI_QUALITY where the checkpoint has conditions. */
  constructor(model: LanguageModel, layout: StreamLayout) {
    // An end of text that comes before the end of the speech is taken for a pause. The original overwrites the embedding's
    // row instead, which gives the same.
    this.#generation = new Generation(model, layout, (token) => (token === TEXT_EOS ? TEXT_PAD : token));
    this.#layout = layout;
  }

  /**
   * Takes in one frame. The first one is given twice to the network, which else would not see it.
   *
   * @param codes (nQ - depQ) codes of the source speech.
   * @returns with `last`: the translation is complete.
   */
  async step(codes: ArrayLike<number>): Promise<GenerationStep & { last: boolean }> {
    if (this.#generation.steps === 0) await this.#generation.step(codes);
    const step = await this.#generation.step(codes);
    return { ...step, last: this.#ended && step.sampled.text === TEXT_EOS };
  }

  /** Says that the source speech is over, by a frame of its own. @throws RuntimeError "invalid-argument" the second time. */
  async endInput(): Promise<GenerationStep & { last: boolean }> {
    if (this.#ended) {
      throw new RuntimeError("invalid-argument", { part: "hibiki", problem: "the input has ended before" });
    }
    this.#ended = true;
    const { nQ, depQ, card } = this.#layout;
    return this.step(new Int32Array(nQ - depQ).fill(card));
  }

  /** The next frame is a first one. */
  async reset(): Promise<void> {
    await this.#generation.reset();
    this.#ended = false;
  }
}
