import { RuntimeError } from "../../../src/core/errors.ts";
import { FRAME_RATE_HZ } from "../config.ts";
import { Generation } from "../generation.ts";
import { type LanguageModel, ZERO_TOKEN } from "../language-model.ts";
import { type StreamLayout, TEXT_PAD } from "../streams.ts";
import type { ScriptEntry } from "./script.ts";
import { StateMachine } from "./state-machine.ts";

export interface TextToSpeechConfig extends StreamLayout {
  readonly tts: { readonly audioDelaySeconds: number; readonly secondStreamAhead: number } | null;
}

export interface TextToSpeechOptions {
  /** Codebooks to make: fewer are faster and coarser. Default depQ. */
  nCodebooks?: number;
  /** Frames before the first word. Default 2. */
  initialPadding?: number;
  /** Frames after a word after which the next one begins. Default 8. */
  maxPadding?: number;
  /** Frames after the last word, beside the delay. Default 4. */
  finalPadding?: number;
}

export interface SpeechStep {
  /** What the network sampled as text. */
  sampledText: number;
  /** (1 + depQ) tokens of the newest moment that is complete, as in GenerationStep; -1 where nothing sounds yet. */
  frame: Int32Array | null;
  /** (nCodebooks) codes of the next 80 ms of speech, or null while nothing sounds yet. */
  codes: Int32Array | null;
  /** The word or pause that was begun; it sounds from frame `fromFrame` of the speech on. */
  begun: { entry: ScriptEntry; fromFrame: number } | null;
}

/**
 * Text to speech by frames of 80 ms. What is to be said may come word by word: a step is run as soon as the words that it
 * depends on are there, and the speech is the same as if all had been given at once.
 *
 * One utterance: after `end` and the last step, `reset` begins another.
 */
export class TextToSpeech {
  readonly #generation: Generation;
  readonly #config: TextToSpeechConfig;
  readonly #options: Required<TextToSpeechOptions>;
  /** Steps that the speech lies behind the text. */
  readonly #delaySteps: number;
  #machine: StateMachine;

  /** @param model Made with the conditions of a voice. */
  constructor(model: LanguageModel, config: TextToSpeechConfig, options: TextToSpeechOptions = {}) {
    const { depQ } = config;
    this.#options = { nCodebooks: depQ, initialPadding: 2, maxPadding: 8, finalPadding: 4, ...options };
    const { nCodebooks } = this.#options;
    if (config.nQ !== depQ || nCodebooks < 1 || nCodebooks > depQ) {
      throw new RuntimeError("invalid-argument", {
        part: "text-to-speech",
        problem: `${nCodebooks} codebooks of a model that makes ${depQ} of ${config.nQ}`,
      });
    }
    this.#config = config;
    this.#generation = new Generation(model, config);
    this.#delaySteps = Math.floor((config.tts?.audioDelaySeconds ?? 0) * FRAME_RATE_HZ);
    this.#machine = this.#newMachine();
  }

  /** Says these after what has been given. */
  push(entries: readonly ScriptEntry[]): void {
    this.#machine.push(entries);
  }

  /** Nothing more is to be said. */
  end(): void {
    this.#machine.close();
  }

  /** True once the last frame has been made. */
  get isDone(): boolean {
    const { endStep } = this.#machine;
    return (
      endStep !== null && this.#generation.steps >= endStep + this.#delaySteps + this.#options.finalPadding
    );
  }

  /** The step in which the script was found to be over, or null. */
  get endStep(): number | null {
    return this.#machine.endStep;
  }

  /** One step, or null if there is none to run: the speech is done, or the next words are not known yet. */
  async step(): Promise<SpeechStep | null> {
    if (this.isDone || !this.#machine.isReady) return null;
    const { delays } = this.#config;
    const t = this.#generation.steps;
    const delaySteps = this.#delaySteps;
    let begun: ScriptEntry | null = null;
    const feed = (sampled: number): number => {
      const next = this.#machine.next(t, sampled);
      begun = next.begun;
      return next.token;
    };
    const { frame, sampled } = await this.#generation.step([], {
      // A token that is known beforehand spares the network a stop between text and sound.
      text: this.#machine.isDetermined ? feed(TEXT_PAD) : feed,
      depthSteps: t < delaySteps ? 0 : this.#options.nCodebooks,
      // What is kept as it is sampled may be decoded where it is sampled.
      ...(t < delaySteps + Math.max(...delays)
        ? { keepAudio: (q, token) => (t < delaySteps + delays[1 + q]! ? ZERO_TOKEN : token) }
        : {}),
    });
    const codes = frame?.subarray(1, 1 + this.#options.nCodebooks) ?? null;
    return {
      sampledText: sampled.text,
      frame,
      codes: codes?.includes(ZERO_TOKEN) ? null : codes,
      begun: begun && { entry: begun, fromFrame: t },
    };
  }

  /** Another utterance, in the same voice: what was not said yet is dropped. */
  async reset(): Promise<void> {
    await this.#generation.reset();
    this.#machine = this.#newMachine();
  }

  #newMachine(): StateMachine {
    const { textCard, tts } = this.#config;
    const { maxPadding, initialPadding } = this.#options;
    return new StateMachine({
      textCard,
      secondStreamAhead: tts?.secondStreamAhead ?? 0,
      maxPadding,
      initialPadding,
    });
  }
}
