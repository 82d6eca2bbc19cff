import type { Clock } from "../../src/core/clock.ts";
import type { Playback, Played, Speech } from "../../src/core/device.ts";
import { PhraseSound } from "./phrase-sound.ts";

/** Sound that a flush lets die away, ms: a hard cut would click. */
const FADE_MS = 10;
/** Between two looks at how much sound is under way, ms. */
const TICK_MS = 5;
/**
 * After so much sound without a pause the device is let run dry at the end of a phrase, ms: what its clock drifted from
 * the session's by then, 6 ms at 200 ppm, is made up for.
 */
const DRY_EVERY_MS = 30_000;

export interface PlayQueueOptions {
  clock: Clock;
  sampleRateHz: number;
  /** Sound that may be under way: taken by `write` and not yet heard, ms. At least the device's own buffer. */
  bufferMs: number;
  /** Time from the first sample that a silent device is given until it sounds, ms. */
  startMs: number;
  /** Takes mono samples in [-1, 1]. */
  write: (samples: Float32Array) => void;
}

interface Phrase {
  text: string;
  sound: PhraseSound;
  /** Samples left to write; a flush leaves those of the fade. */
  left: number;
  /** Null until its first sample is written. */
  startMs: number | null;
  /** A flush has cut it: the samples left die away. */
  cut: boolean;
  started: (startMs: number | null) => void;
  finished: (played: Played) => void;
}

/**
 * Gives phrases to a device just in time: never more than the buffer ahead of what sounds, so that a flush is soon heard
 * and it is known at any moment which samples have sounded. A device that has nothing to say is given nothing; it runs
 * dry and begins afresh, so that no difference of clocks adds up. One that ran dry in the middle of a phrase has
 * underrun: the rest of the phrase comes later, and that is counted.
 */
export class PlayQueue {
  underruns = 0;
  readonly #options: PlayQueueOptions;
  readonly #queue: Phrase[] = [];
  /** Written but not yet heard to the end. */
  readonly #sounding = new Set<Phrase & { endMs: number }>();
  /** Session time at which all that was written will have sounded, ms. */
  #dryMs = Number.NEGATIVE_INFINITY;
  #wetSinceMs = 0;
  /** Silence still to be written after the last phrase, samples: a device plays only what fills its buffer. */
  #padding = 0;
  readonly #ending = new AbortController();
  #worker: Promise<void> | null = null;
  #wake: () => void = () => {};

  constructor(options: PlayQueueOptions) {
    this.#options = options;
  }

  /** Queues one phrase. `speech` is kept until it has been written. */
  play(text: string, speech: Speech): Playback {
    const sound = new PhraseSound(speech, this.#options.sampleRateHz);
    let started: Phrase["started"] = () => {};
    let finished: Phrase["finished"] = () => {};
    const playback = {
      started: new Promise<number | null>((resolve) => {
        started = resolve;
      }),
      finished: new Promise<Played>((resolve) => {
        finished = resolve;
      }),
    };
    this.#queue.push({ text, sound, left: sound.length, startMs: null, cut: false, started, finished });
    this.#wake();
    this.#worker ??= this.#work().finally(() => {
      this.#worker = null;
    });
    return playback;
  }

  /** Drops what has not been written; what sounds dies away within the fade. */
  flush(): void {
    const current = this.#queue[0];
    const kept = current && current.startMs !== null ? current : null;
    for (const phrase of this.#queue.splice(0)) if (phrase !== kept) this.#unheard(phrase);
    if (!kept) return;
    kept.cut = true;
    kept.left = Math.min(kept.left, this.#samples(FADE_MS));
    this.#queue.push(kept);
    // At once, whatever is under way: it is the last.
    this.#write(kept, kept.left);
    this.#wake();
  }

  /** The device is gone for good: what had not sounded by now will not. No call follows. */
  lose(): void {
    this.#ending.abort();
    for (const phrase of this.#queue.splice(0)) {
      if (phrase.startMs === null) this.#unheard(phrase);
      else this.#cutOff({ ...phrase, endMs: this.#dryMs });
    }
    for (const phrase of this.#sounding) this.#cutOff(phrase);
    this.#sounding.clear();
  }

  /** Resolves when all has sounded. */
  async drained(): Promise<void> {
    while (this.#worker) await this.#worker;
  }

  /** Writes until nothing is left and what was written has sounded, or the device is gone. */
  async #work(): Promise<void> {
    const { signal } = this.#ending;
    const { clock } = this.#options;
    try {
      while (!signal.aborted && (this.#queue.length > 0 || this.#padding > 0 || this.#sounding.size > 0)) {
        this.#fill();
        this.#settle();
        await this.#sleep(clock.nowMs() + TICK_MS, signal);
      }
    } catch (fault) {
      if (!signal.aborted) throw fault;
    }
  }

  /** Sleeps until `timeMs` or until there is more to do. */
  async #sleep(timeMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const onAbort = () => woken.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#wake = onAbort;
    await this.#options.clock.sleepUntil(timeMs, woken.signal).catch(() => {
      // Woken early.
    });
    signal.removeEventListener("abort", onAbort);
    signal.throwIfAborted();
  }

  #fill(): void {
    for (;;) {
      const phrase = this.#queue[0];
      const room = this.#room(phrase !== undefined && phrase.startMs !== null);
      if (room <= 0) return;
      if (phrase && !this.#resting(phrase)) this.#write(phrase, room);
      else if (this.#padding > 0) this.#pad(room);
      else return;
    }
  }

  /** True while a device that has played for long is to run dry before the next phrase begins. */
  #resting(phrase: Phrase): boolean {
    const wetMs = this.#options.clock.nowMs() - this.#wetSinceMs;
    return phrase.startMs === null && this.#isWet && wetMs > DRY_EVERY_MS;
  }

  get #isWet(): boolean {
    return this.#dryMs > this.#options.clock.nowMs();
  }

  /** Samples that may be written now. Notes if the device has run dry. */
  #room(inMidPhrase: boolean): number {
    const nowMs = this.#options.clock.nowMs();
    const { bufferMs, startMs } = this.#options;
    if (this.#isWet) return this.#samples(bufferMs + startMs - (this.#dryMs - nowMs));
    if (inMidPhrase) this.underruns++;
    // What remained of the silence has been played by not being written.
    this.#padding = 0;
    this.#wetSinceMs = nowMs;
    return this.#samples(bufferMs);
  }

  #write(phrase: Phrase, room: number): void {
    const nowMs = this.#options.clock.nowMs();
    if (!this.#isWet) this.#dryMs = nowMs + this.#options.startMs;
    const samples = phrase.sound.take(Math.min(room, phrase.left));
    phrase.startMs ??= this.#dryMs;
    if (phrase.cut) fadeOut(samples);
    this.#put(samples);
    phrase.left -= samples.length;
    this.#padding = this.#samples(this.#options.bufferMs);
    if (phrase.left > 0 && samples.length > 0) return;
    this.#queue.shift();
    this.#sounding.add({ ...phrase, endMs: this.#dryMs });
  }

  #pad(room: number): void {
    const samples = new Float32Array(Math.min(room, this.#padding));
    this.#padding -= samples.length;
    this.#put(samples);
  }

  #put(samples: Float32Array): void {
    this.#options.write(samples);
    this.#dryMs += (samples.length / this.#options.sampleRateHz) * 1000;
  }

  /** Reports what has begun to sound and what has sounded to its end. */
  #settle(): void {
    const nowMs = this.#options.clock.nowMs();
    const current = this.#queue[0];
    if (current && current.startMs !== null && current.startMs <= nowMs) current.started(current.startMs);
    for (const phrase of this.#sounding) {
      const { text, cut, endMs } = phrase;
      const startMs = phrase.startMs!;
      if (startMs <= nowMs) phrase.started(startMs);
      if (endMs > nowMs) continue;
      phrase.finished({ text, startMs, endMs, whole: !cut });
      this.#sounding.delete(phrase);
    }
  }

  #unheard({ text, started, finished }: Phrase): void {
    const nowMs = this.#options.clock.nowMs();
    started(null);
    finished({ text, startMs: nowMs, endMs: nowMs, whole: false });
  }

  #cutOff(phrase: Phrase & { endMs: number }): void {
    const nowMs = this.#options.clock.nowMs();
    const startMs = phrase.startMs!;
    if (startMs >= nowMs) {
      this.#unheard(phrase);
      return;
    }
    const endMs = Math.min(phrase.endMs, nowMs);
    phrase.started(startMs);
    phrase.finished({ text: phrase.text, startMs, endMs, whole: false });
  }

  #samples(ms: number): number {
    return Math.floor((ms / 1000) * this.#options.sampleRateHz);
  }
}

/** Half a cosine from whole to nothing. */
function fadeOut(samples: Float32Array): void {
  for (let i = 0; i < samples.length; i++) {
    samples[i] = samples[i]! * 0.5 * (1 + Math.cos((Math.PI * (i + 1)) / samples.length));
  }
}
