/** Contributes nothing to the sum of embeddings, and is never sampled. */
export const ZERO_TOKEN = -1;

/** How a token is drawn: softmax of logits / temperature, among the topK likeliest. */
export interface Sampling {
  /** 0 is greedy. */
  temperature: number;
  /** 0 is all. */
  topK: number;
}

/** How the tokens of a session are drawn. The same draws and the same sound give the same session. */
export interface Draws {
  text: Sampling;
  audio: Sampling;
  /** Whole; the lowest 32 bits count. */
  textSeed: number;
  audioSeed: number;
  /** Added to the logit of the text padding token (3) before a text token is drawn: a slower speech. Default 0. */
  textPaddingBonus?: number;
}

/** One frame of 80 ms, as the network takes it in. */
export interface FrameInput {
  /** (1 + nQ) tokens of this step, already delayed: text, then audio codebooks. ZERO_TOKEN where there is none. */
  tokens: Int32Array;
  /** (dim) what to put in the place of the sum of these tokens' embeddings. */
  embedding?: Float32Array;
  /**
   * What the depth steps are given in the place of the sampled text token. A function is called with the sampled token; it
   * splits the frame into two submissions.
   */
  text?: number | ((sampled: number) => number);
  /** (depQ) what each depth step hands to the next in the place of what it sampled; null at k: what it sampled. */
  audio?: readonly (number | null)[];
  /**
   * Codes of the moment that is complete with this step, as far as they are known before it: null where the step samples
   * them. For a voice that is decoded beside it; the network does not look at these.
   */
  completes?: readonly (number | null)[];
  /** Depth steps to run, 0 to depQ. Default all. */
  depthSteps?: number;
  /**
   * (length, dim) row-major: an image's tokens, which this step and those after it see; null for none. Default: what the step
   * before saw. For models with gated cross-attention.
   */
  image?: Float32Array | null;
  /** Reads logits back as well; slower. */
  inspect?: boolean;
}

export interface FrameOutput {
  /** The text token that was sampled, whatever was put in its place. */
  text: number;
  /** (depthSteps) the audio tokens that were sampled. */
  audio: Int32Array;
  /** (nExtraHeads, classes) probabilities, row-major; empty without extra heads. */
  extraHeads: Float32Array;
  /** With an image in sight: how far the last ten layers' gates were open to it, 0 to 1, on average. */
  gateOpening?: number;
  /** With `inspect`. */
  inspected?: {
    /** (textCard) after guidance. */
    textLogits: Float32Array;
    /** (dim) after the output norm. */
    transformerOut: Float32Array;
    /** (depthSteps, card) after guidance, row-major. */
    depthLogits: Float32Array;
  };
}

/** What a model is conditioned on, as vectors; see `conditioners` for where these come from. */
export interface Conditions {
  /** (dim) added to the input of every step. */
  sum?: Float32Array;
  /** (length, dim) attended to by every layer, row-major. */
  cross?: Float32Array;
}

export interface LanguageModelOptions {
  text: Sampling;
  audio: Sampling;
  /** Added to the logit of the text padding token (3) before a text token is drawn: a slower speech. Default 0. */
  textPaddingBonus?: number;
  /** Seeds the draws; the same seed gives the same session. */
  seed: number;
  conditions?: Conditions;
  /** Classifier-free guidance: logits = null + (conditioned - null) * coefficient, for text and every depth step. */
  guidance?: { coefficient: number; conditions: Conditions };
  /** Keys a step sees, itself included. Default: the configuration's context. */
  window?: number;
  /** Tokens of the largest image that a step may be given. Default 1024, the released encoder's. */
  maxImageTokens?: number;
}

/**
 * The network of a Moshi-family model: the temporal transformer over frames, and within each frame the depth transformer
 * over codebooks. Which token goes in when is not its concern: see generation.ts.
 */
export interface LanguageModel {
  /** One step. One call at a time; the input is borrowed until the promise settles. */
  frame(input: FrameInput): Promise<FrameOutput>;
  /** Forgets the session: the next frame is a first frame. Draws begin anew from the seed. */
  reset(): Promise<void>;
  close(): Promise<void>;
}
