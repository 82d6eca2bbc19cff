import type { Playback, Played, Speech } from "../../src/core/device.ts";
import { isAudible } from "../../src/signal/audible.ts";
import type { PhraseSound } from "./phrase-sound.ts";
import type { PlaybackClock } from "./playback-clock.ts";

/** What is known of what sounds. */
export interface Heard {
  timing: PlaybackClock;
  /** Session time, ms. */
  nowMs: number;
  /** Samples given to the device. */
  written: number;
}

/** One phrase of a play queue, from when it waits until it has been told when it sounded. */
export class QueuedPhrase {
  readonly sound: PhraseSound;
  /** A piece of a stream that can be heard: no time to run dry. */
  readonly isAmidSound: boolean;
  /** For who waits for it. */
  readonly playback: Playback;
  /** Number of its first sample among all that was written; null until that is. */
  first: number | null = null;
  /** Session time at which it sounds, ms, known with `first` and fixed when it has been told. */
  startMs = 0;
  /** A flush has cut it: the samples left die away. */
  isCut = false;
  /** Number of the sample after its last, when that is written. */
  end: number | null = null;
  readonly #text: string;
  #isTold = false;
  #started: (startMs: number | null) => void = () => {};
  #finished: (played: Played) => void = () => {};

  /** @param sound of `speech`, at the speaker's rate. */
  constructor(text: string, speech: Speech, sound: PhraseSound) {
    this.#text = text;
    this.sound = sound;
    this.isAmidSound = speech.isStream === true && isAudible(speech.samples);
    this.playback = {
      started: new Promise<number | null>((resolve) => {
        this.#started = resolve;
      }),
      finished: new Promise<Played>((resolve) => {
        this.#finished = resolve;
      }),
    };
  }

  /** Tells that it sounds, once it does. */
  tellStart({ timing, nowMs }: Heard): void {
    if (this.#isTold || this.first === null) return;
    const startMs = timing.soundsMs(this.first);
    if (startMs > nowMs) return;
    this.startMs = startMs;
    this.#isTold = true;
    this.#started(startMs);
  }

  /** Tells that it has sounded, once all that was written of it has. @returns whether that is so. */
  tellEnd(heard: Heard): boolean {
    const endMs = this.#endMs(heard);
    if (endMs > heard.nowMs) return false;
    this.#finished({ text: this.#text, startMs: this.startMs, endMs, whole: !this.isCut });
    return true;
  }

  /** Tells that it will never sound. */
  tellUnheard(nowMs: number): void {
    this.#started(null);
    this.#finished({ text: this.#text, startMs: nowMs, endMs: nowMs, whole: false });
  }

  /** Tells that what has not sounded by now will not. */
  tellCutOff(heard: Heard): void {
    this.tellStart(heard);
    if (!this.#isTold) {
      this.tellUnheard(heard.nowMs);
      return;
    }
    const endMs = Math.min(this.#endMs(heard), heard.nowMs);
    this.#finished({ text: this.#text, startMs: this.startMs, endMs, whole: false });
  }

  /** Session time at which what was written of it will have sounded, ms. */
  #endMs({ timing, written }: Heard): number {
    return Math.max(this.startMs, timing.soundsMs(this.end ?? written));
  }
}
