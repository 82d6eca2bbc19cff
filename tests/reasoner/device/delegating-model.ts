import type { MicroTurnInput, MicroTurnOutput, OutputPart } from "../../../src/core/micro-turn.ts";
import type { InteractionModel } from "../../../src/core/model.ts";
import { REASONER_DEVICE } from "../../../src/core/reasoner.ts";

/**
 * A model that knows what it can and what it cannot, by rule: it counts every fifth picture aloud, hands every question
 * that does not concern the count to the reasoner, says so, goes on counting, passes a correction on ("no, ..."), puts
 * a question of the reasoner to the person at once, takes the next text for the answer, and says a result as soon as
 * it is not in the middle of a number.
 */
export class DelegatingModel implements InteractionModel {
  readonly perception = { microTurnMs: 200, audioSampleRateHz: null, videoFramesPerMicroTurn: 1 };
  readonly description = {
    model: "test/delegating",
    backend: "cpu",
    adapter: "none",
    reason: "test",
  } as const;
  #count = 0;
  #pictures = 0;
  #task: string | null = null;
  #delegated = false;
  #asked = false;
  /** What is to be said as soon as it fits. */
  #toSay: string[] = [];

  async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    const parts = inputs.flatMap((input) => this.#react(input));
    return { index: inputs.at(-1)!.index, tokens: [1], parts };
  }

  async reset(): Promise<void> {
    this.#count = 0;
    this.#pictures = 0;
    this.#task = null;
    this.#delegated = false;
    this.#asked = false;
    this.#toSay = [];
  }

  async close(): Promise<void> {}

  #react(input: MicroTurnInput): OutputPart[] {
    const parts: OutputPart[] = [];
    const act = (name: string, args: Record<string, unknown>) => parts.push({ kind: "action", name, args });
    const say = (text: string) => parts.push({ kind: "speech", text: ` ${text}` });
    for (const event of input.events) {
      if (event.kind === "text") this.#hear(event.text, act, say);
      if (event.kind === "device" && event.device === REASONER_DEVICE && event.state === "lost")
        say("I am offline");
      if (event.kind !== "reasoner") continue;
      if (event.state === "accepted") this.#task = event.task;
      if (event.state === "ask") {
        this.#asked = true;
        say(event.text);
      }
      if (event.state === "result") this.#toSay.push(event.stale ? `by the way ${event.text}` : event.text);
      if (event.state === "failed") this.#toSay.push("I could not find out");
      if (event.state === "waiting") this.#toSay.push("it may take a while");
    }
    if (input.frames.length > 0 && ++this.#pictures % 5 === 0) say(String(++this.#count));
    else if (parts.length === 0 && this.#toSay.length > 0) say(this.#toSay.shift()!);
    return parts;
  }

  #hear(
    text: string,
    act: (name: string, args: Record<string, unknown>) => void,
    say: (text: string) => void,
  ): void {
    if (text === "how many?") say(String(this.#count));
    else if (text === "never mind") act("cancel", {});
    else if (this.#asked) {
      this.#asked = false;
      act("answer", { text });
    } else if (this.#delegated && text.startsWith("no, "))
      act("amend", { text, task: this.#task ?? undefined });
    else {
      this.#delegated = true;
      act("delegate", { text });
      say("I am looking into it");
    }
  }
}
