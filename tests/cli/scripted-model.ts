import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { type Parts, shippedParts } from "../../src/cli/parts.ts";
import { levelDb } from "../../src/cli/view/collector.ts";
import type { MicroTurnInput, MicroTurnOutput, OutputPart } from "../../src/core/micro-turn.ts";
import type { InteractionModel } from "../../src/core/model.ts";

/** A person who speaks is louder than this, dB. */
const LOUD_DB = -30;

/**
 * A model whose every word can be foretold. Typed "count", it says the next number in each tenth micro-turn that has a
 * picture; typed "talk", it says a word in each micro-turn until it hears something loud, and then gives way.
 */
export class ScriptedModel implements InteractionModel {
  readonly perception = { microTurnMs: 200, audioSampleRateHz: 16_000, videoFramesPerMicroTurn: 2 };
  readonly description = {
    model: "test/scripted",
    backend: "cpu",
    adapter: "none",
    reason: "it is a test",
  } as const;
  /** Micro-turns in which it was given a picture since the last reset. */
  turnsWithPicture = 0;
  closed = false;
  #counting = false;
  #talking = false;
  #count = 0;

  async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    const parts: OutputPart[] = [];
    for (const input of inputs) {
      for (const event of input.events) {
        if (event.kind !== "text") continue;
        this.#counting ||= event.text.startsWith("count");
        this.#talking ||= event.text.startsWith("talk");
      }
      if (input.frames.length > 0) this.turnsWithPicture++;
      if (this.#counting && input.frames.length > 0 && this.turnsWithPicture % 10 === 0) {
        parts.push({ kind: "speech", text: ` ${++this.#count}` });
      }
      if (this.#talking && input.audio !== null && levelDb(input.audio) > LOUD_DB) {
        this.#talking = false;
        parts.push({ kind: "yield" });
      }
      if (this.#talking) parts.push({ kind: "speech", text: " word" });
    }
    return { index: inputs.at(-1)!.index, tokens: [1], parts };
  }

  async reset(): Promise<void> {
    this.turnsWithPicture = 0;
    this.#counting = false;
    this.#talking = false;
    this.#count = 0;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** The shipped parts around a scripted model; the voice needs no program. */
export function scriptedParts(model = new ScriptedModel()): Parts {
  return { ...shippedParts, loadModel: async () => model, voice: async () => new FakeVoice() };
}
