import { unlessAborted } from "../../../src/core/clock.ts";
import type { SpeechPiece, StreamingVoice, Utterance } from "../../../src/core/device.ts";
import { SAMPLE_RATE_HZ } from "../dialogue.ts";
import { wordsOf } from "./script.ts";
import type { SpeechReply } from "./spoken-text.ts";

/** What runs a voice; see worker/voice-engine.ts. One call at a time. */
export interface VoiceRunner {
  step(given: { text: string; isEnd: boolean }): Promise<SpeechReply>;
  reset(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Kyutai's text to speech as a voice: each word is told with the frame of 80 ms that it begins to sound in. A flush is done
 * at once; what the runner is at, one step, is let end and is forgotten.
 */
export class MoshiVoice implements StreamingVoice {
  readonly name: string;
  readonly #runner: VoiceRunner;
  /** Settles when the runner is ready for another utterance. */
  #ready: Promise<void> = Promise.resolve();

  /** @param runner Ready for a first utterance. Closed with the voice. */
  constructor(name: string, runner: VoiceRunner) {
    this.name = name;
    this.#runner = runner;
  }

  begin(signal: AbortSignal): Utterance {
    return new MoshiUtterance(signal, {
      step: (given) => this.#runner.step(given),
      ready: () => this.#ready,
      isOver: (lastStep) => this.#makeReady(lastStep),
    });
  }

  async close(): Promise<void> {
    await settled(this.#ready);
    await this.#runner.close();
  }

  #makeReady(lastStep: Promise<unknown>): void {
    this.#ready = settled(lastStep).then(() => this.#runner.reset());
    // The next utterance hears of a fault here, if there is one.
    void settled(this.#ready);
  }
}

/** What an utterance is made by. */
interface Maker {
  step: VoiceRunner["step"];
  /** Settles when steps can be run. */
  ready(): Promise<void>;
  /** Nothing more is made of it once `lastStep` has settled. */
  isOver(lastStep: Promise<unknown>): void;
}

class MoshiUtterance implements Utterance {
  readonly #signal: AbortSignal;
  readonly #maker: Maker;
  /** Given, and begun in no piece. */
  readonly #words: string[] = [];
  /** Not handed on yet. */
  #text = "";
  #ending: "open" | "ended" | "handed on" = "open";
  #running: Promise<SpeechPiece | "starved" | null> = Promise.resolve(null);
  #isOver = false;

  constructor(signal: AbortSignal, maker: Maker) {
    this.#signal = signal;
    this.#maker = maker;
    signal.addEventListener("abort", this.#finish);
  }

  get unsaid(): string {
    return this.#words.join(" ");
  }

  say(text: string): void {
    this.#words.push(...wordsOf(text));
    this.#text += ` ${text}`;
  }

  end(): void {
    if (this.#ending === "open") this.#ending = "ended";
  }

  async next(): Promise<SpeechPiece | "starved" | null> {
    this.#signal.throwIfAborted();
    if (this.#isOver) return null;
    this.#running = this.#make();
    try {
      const made = await unlessAborted(this.#running, this.#signal);
      if (made === null) this.#finish();
      return made;
    } catch (fault) {
      this.#finish();
      throw fault;
    }
  }

  /** Runs steps until something comes of them. */
  async #make(): Promise<SpeechPiece | "starved" | null> {
    await this.#maker.ready();
    while (!this.#signal.aborted) {
      const given = { text: this.#text, isEnd: this.#ending === "ended" };
      this.#text = "";
      if (given.isEnd) this.#ending = "handed on";
      const reply = await this.#maker.step(given);
      switch (reply.kind) {
        case "silent":
          break;
        case "starved":
          return reply.kind;
        case "done":
          return null;
        case "sound":
          if (reply.word !== "") this.#words.shift();
          return { samples: reply.samples, sampleRateHz: SAMPLE_RATE_HZ, isStream: true, word: reply.word };
        default:
          reply satisfies never;
      }
    }
    return null;
  }

  /** A signal outlives many utterances: none listens for longer than it lasts. */
  readonly #finish = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#signal.removeEventListener("abort", this.#finish);
    this.#maker.isOver(this.#running);
  };
}

/** Resolves when `work` has ended, well or not. */
async function settled(work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([work]);
}
