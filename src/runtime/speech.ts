import type { Clock } from "../core/clock.ts";
import { type Played, SPEAKER_QUEUE_MS, type Speech, type Voice } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { Playbacks } from "./playbacks.ts";
import type { SpeakerQueue } from "./speaker-queue.ts";
import { WaitingPhrases } from "./waiting-phrases.ts";

/** What speech output reports. Called between the steps of its own work; must not throw. */
export interface SpeechListener {
  /** The first sample of the phrase sounds now, at `startMs`. */
  started(text: string, startMs: number): void;
  /** The phrase has sounded or was cut. `durationMs`: how long it would have been. */
  played(played: Played, durationMs: number): void;
  /** The voice could not say a phrase; it is lost. */
  voiceFailed(fault: unknown): void;
}

/** Speaks what a model says, in order, and never more than 400 ms ahead of what sounds. */
export interface SpokenWords {
  /** Phrases that were given up because too many waited. */
  readonly dropped: number;
  /** Times that the rest of what was being said came too late to go on without a pause. */
  readonly underruns: number;
  /** True when nothing waits, is being spoken or sounds. */
  readonly idle: boolean;
  /** What has not sounded to its end: phrases, or pieces of one. */
  readonly waiting: number;
  /** Queues one phrase. @throws the speaker's RuntimeError if it has failed since. */
  say(phrase: string): void;
  /** The model has said nothing in this micro-turn. */
  pause(): void;
  /**
   * Gives way: drops everything that has not sounded, at once.
   * @returns the words that were still to come or were cut, for the account; "" if the speaker was silent.
   */
  flush(): string;
  /** Resolves when all has sounded. @throws the speaker's RuntimeError. */
  drained(): Promise<void>;
  throwIfFailed(): void;
}

/** Takes phrases to a voice and on to the speaker, each as a whole. */
export class SpeechOutput implements SpokenWords {
  /** A phrase is whole before it sounds. */
  readonly underruns = 0;
  readonly #clock: Clock;
  readonly #voice: Voice;
  readonly #speaker: SpeakerQueue;
  readonly #listener: SpeechListener;
  readonly #waiting = new WaitingPhrases();
  /** Phrases between leaving #waiting and having sounded, oldest first. */
  readonly #underWay: string[] = [];
  readonly #playbacks = new Playbacks();
  #flushing = new AbortController();
  #worker: Promise<void> | null = null;

  constructor(clock: Clock, voice: Voice, speaker: SpeakerQueue, listener: SpeechListener) {
    this.#clock = clock;
    this.#voice = voice;
    this.#speaker = speaker;
    this.#listener = listener;
  }

  get dropped(): number {
    return this.#waiting.dropped;
  }

  get idle(): boolean {
    return this.#worker === null && this.#playbacks.size === 0;
  }

  get waiting(): number {
    return this.#waiting.length + this.#underWay.length;
  }

  say(phrase: string): void {
    this.throwIfFailed();
    this.#waiting.push(phrase);
    this.#worker ??= this.#work();
  }

  /** A phrase does not wait for the next one. */
  pause(): void {}

  flush(): string {
    const silenced = [...this.#underWay, ...this.#waiting.flush()].join(" ");
    this.#flushing.abort(new RuntimeError("internal", { part: "speech", problem: "flushed" }));
    this.#flushing = new AbortController();
    this.#speaker.flush();
    return silenced;
  }

  async drained(): Promise<void> {
    while (!this.idle) await Promise.all([this.#worker, this.#playbacks.settled()]);
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    this.#playbacks.throwIfFailed();
  }

  async #work(): Promise<void> {
    try {
      for (let phrase = this.#waiting.shift(); phrase !== undefined; phrase = this.#waiting.shift()) {
        this.#underWay.push(phrase);
        const speech = await this.#speak(phrase, this.#flushing.signal);
        if (speech) this.#play(phrase, speech);
        else this.#done(phrase);
      }
    } catch (fault) {
      this.#playbacks.fail(fault);
    }
    this.#worker = null;
  }

  /** The phrase's sound, when the speaker has room for it; null if it was flushed meanwhile or cannot be said. */
  async #speak(phrase: string, signal: AbortSignal): Promise<Speech | null> {
    try {
      const speech = await this.#clock.during(this.#voice.synthesize(phrase, signal));
      await this.#clock.sleepUntil(this.#speaker.soundsUntilMs - SPEAKER_QUEUE_MS, signal);
      return signal.aborted ? null : speech;
    } catch (fault) {
      if (signal.aborted) return null;
      // Without its program a voice will never speak; any other fault may be this phrase's alone.
      if (fault instanceof RuntimeError && fault.code === "missing-program") throw fault;
      this.#listener.voiceFailed(fault);
      return null;
    }
  }

  #play(phrase: string, speech: Speech): void {
    const durationMs = (speech.samples.length / speech.sampleRateHz) * 1000;
    const playback = this.#speaker.play(phrase, speech);
    const report = async () => {
      const startMs = await playback.started;
      if (startMs !== null) this.#listener.started(phrase, startMs);
      this.#listener.played(await playback.finished, durationMs);
    };
    this.#playbacks.add(report(), () => this.#done(phrase));
  }

  #done(phrase: string): void {
    const place = this.#underWay.indexOf(phrase);
    if (place >= 0) this.#underWay.splice(place, 1);
  }
}
