import type { FrameInput, FrameOutput, LanguageModel } from "./language-model.ts";
import { ZERO_TOKEN } from "./language-model.ts";
import { expectCodes, type StreamLayout, TokenCache } from "./streams.ts";

export interface StepOptions {
  /** As in FrameInput: the text token, in the place of the sampled one. */
  text?: FrameInput["text"];
  /** Codebooks to make, at most depQ, which is the default. The others get the zero token. */
  depthSteps?: number;
  /** What is kept in the place of the audio token sampled for a codebook. The next codebook is still given what was sampled. */
  keepAudio?: (codebook: number, sampled: number) => number;
  /** As in FrameInput. */
  image?: FrameInput["image"];
  inspect?: boolean;
}

export interface GenerationStep {
  /** (1 + depQ) tokens of one moment: text, then audio codes, the delays between them taken out. Null until there is one. */
  frame: Int32Array | null;
  /** What the network gave in this step; of delayed codebooks that is a later moment than `frame`. */
  sampled: FrameOutput;
}

/**
 * Runs a language model frame by frame: keeps the tokens of each stream until its delay has passed, gives the network the
 * right ones, and puts the frames that come out together. One step is 80 ms; memory is constant.
 *
 * Timing is that of Kyutai's PyTorch implementation (LMGen): in step t a stream with delay d is given its initial token if
 * t <= d. So the codes of the very first step are never seen; whoever must not lose them gives them twice.
 */
export class Generation {
  readonly #model: LanguageModel;
  readonly #layout: StreamLayout;
  readonly #cache: TokenCache;
  readonly #textInput: (token: number) => number;
  #step = 0;

  /** @param textInput What the network is given in the place of a text token of its own, one step later. */
  constructor(model: LanguageModel, layout: StreamLayout, textInput = (token: number): number => token) {
    this.#model = model;
    this.#layout = layout;
    this.#cache = new TokenCache(layout, 2);
    this.#textInput = textInput;
  }

  /** Steps so far. */
  get steps(): number {
    return this.#step;
  }

  /**
   * One step. One call at a time.
   *
   * @param codes (nQ - depQ) codes of the newest frame that came in.
   * @throws RuntimeError "shape-mismatch" or "invalid-argument" for other codes than that.
   */
  async step(codes: ArrayLike<number>, options: StepOptions = {}): Promise<GenerationStep> {
    const { nQ, depQ, delays, card } = this.#layout;
    expectCodes("generation", codes, nQ - depQ, card);
    const cache = this.#cache;
    const t = this.#step;
    for (let user = 0; user < nQ - depQ; user++) {
      const row = 1 + depQ + user;
      cache.set(row, t + delays[row]!, codes[user]!);
    }
    const tokens = cache.column((row) => {
      if (t <= delays[row]!) return cache.initial(row);
      return row === 0 ? this.#textInput(cache.at(0, t)) : cache.at(row, t);
    });
    let text: number | undefined;
    const put = options.text;
    const input: FrameInput = { tokens };
    if (typeof put === "function") {
      input.text = (sampled) => {
        text = put(sampled);
        return text;
      };
    } else if (put !== undefined) {
      text = put;
      input.text = put;
    }
    if (options.depthSteps !== undefined) input.depthSteps = options.depthSteps;
    if (options.image !== undefined) input.image = options.image;
    if (options.inspect) input.inspect = true;
    const made = options.depthSteps ?? depQ;
    // Not where the samples are not what is kept.
    const completes = made > 0 && !options.keepAudio ? cache.awaited(made, t + 1) : null;
    if (completes) input.completes = completes;
    const sampled = await this.#model.frame(input);

    this.#step = t + 1;
    cache.set(0, t + 1, text ?? sampled.text);
    const keep = options.keepAudio ?? ((_codebook, token) => token);
    for (let q = 0; q < depQ; q++) cache.set(1 + q, t + 1, keep(q, sampled.audio[q] ?? ZERO_TOKEN));
    const frame = t + 1 <= cache.maxDelay ? null : cache.aligned(1 + depQ, t + 1);
    return { frame, sampled };
  }

  /** The next step is a first one. */
  async reset(): Promise<void> {
    await this.#model.reset();
    this.#cache.reset();
    this.#step = 0;
  }
}
