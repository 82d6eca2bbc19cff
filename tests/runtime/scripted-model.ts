import type { MicroTurnInput, MicroTurnOutput, OutputPart } from "../../src/core/micro-turn.ts";
import type { InteractionModel, Perception, Saving } from "../../src/core/model.ts";

/** What a scripted model does in the step that ends with micro-turn `index`. */
export type Script = (
  index: number,
  inputs: readonly MicroTurnInput[],
) => OutputPart[] | Promise<OutputPart[]>;

export interface ScriptedModelOptions extends Partial<Perception> {
  script?: Script;
  savings?: readonly Saving[];
}

/** A model that follows a script and keeps what it was fed. */
export class ScriptedModel implements InteractionModel {
  readonly perception: Perception;
  readonly description = { model: "scripted", backend: "cpu", adapter: "none", reason: "test" } as const;
  readonly savings: readonly Saving[];
  readonly steps: (readonly MicroTurnInput[])[] = [];
  /** What `save` was called with. */
  readonly saved: (readonly Saving[])[] = [];
  readonly #script: Script;

  constructor(options: ScriptedModelOptions = {}) {
    const { script = () => [], savings = [], ...perception } = options;
    this.perception = {
      microTurnMs: 200,
      audioSampleRateHz: 16_000,
      videoFramesPerMicroTurn: 2,
      ...perception,
    };
    this.savings = savings;
    this.#script = script;
  }

  async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    this.steps.push(inputs);
    const { index } = inputs.at(-1)!;
    const parts = await this.#script(index, inputs);
    return { index, tokens: [index], parts };
  }

  save(savings: readonly Saving[]): void {
    this.saved.push(savings);
  }

  async reset(): Promise<void> {
    this.steps.length = 0;
  }

  async close(): Promise<void> {}
}

/** One part of speech. */
export function says(text: string): OutputPart[] {
  return [{ kind: "speech", text }];
}
