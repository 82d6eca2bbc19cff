import type { FrameInput, FrameOutput, LanguageModel } from "../../../models/moshi/language-model.ts";

/** A network that gives what it is told to, and keeps what it was given. */
export class ScriptedModel implements LanguageModel {
  /** The tokens of each step. */
  readonly inputs: Int32Array[] = [];
  /** The text that each step's audio was made for. */
  readonly texts: number[] = [];
  /** Depth steps that were run. */
  readonly depthSteps: number[] = [];
  /** Steps that had to stop between text and sound. */
  splits = 0;
  readonly #script: (step: number) => Partial<FrameOutput>;
  readonly #depQ: number;

  constructor(depQ: number, script: (step: number) => Partial<FrameOutput>) {
    this.#depQ = depQ;
    this.#script = script;
  }

  async frame(input: FrameInput): Promise<FrameOutput> {
    const {
      text = 0,
      audio = new Int32Array(this.#depQ),
      extraHeads = new Float32Array(),
    } = this.#script(this.inputs.length);
    this.inputs.push(input.tokens.slice());
    if (typeof input.text === "function") this.splits++;
    this.texts.push(typeof input.text === "function" ? input.text(text) : (input.text ?? text));
    const steps = input.depthSteps ?? this.#depQ;
    this.depthSteps.push(steps);
    return { text, audio: audio.slice(0, steps), extraHeads };
  }

  async reset(): Promise<void> {
    this.inputs.length = 0;
  }

  async close(): Promise<void> {}
}
