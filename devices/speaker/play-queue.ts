import type { Clock } from "../../src/core/clock.ts";
import type { Playback, Played, Speech } from "../../src/core/device.ts";
import type { PlayerReport } from "../media/player-reports.ts";
import { PhraseSound } from "./phrase-sound.ts";
import { PlaybackClock } from "./playback-clock.ts";
import { QueuedPhrase } from "./queued-phrase.ts";

/** Sound that a flush lets die away, ms: a hard cut would click. */
const FADE_MS = 10;
/** Between two looks at how much sound is under way, ms. */
export const TICK_MS = 5;
/**
 * A device that does not report is let run dry at the end of a phrase after so much sound without a pause, ms: what its
 * clock drifted from the session's by then, 6 ms at 200 ppm, is made up for.
 */
const DRY_EVERY_MS = 30_000;
/** Time in which a phrase that is off its place is brought back to it, ms... */
const CATCH_UP_MS = 4000;
/** ...by no more than this share of its speed, which nobody hears... */
const MAX_CATCH_UP = 0.001;
/** ...unless it is off by more, ms: sound that was held up comes later, not faster. */
const OUT_OF_PLACE_MS = 20;

export interface PlayQueueOptions {
  clock: Clock;
  sampleRateHz: number;
  /** Sound that may be under way: taken by `write` and not yet heard, ms. At least the device's own buffer. */
  bufferMs: number;
  /** Time from the first sample that a silent device is given until it sounds, ms. */
  startMs: number;
  /** True if the device says now and then, by `report`, how much it has played or at which pace. */
  reports: boolean;
  /** Takes mono samples in [-1, 1]. */
  write: (samples: Float32Array) => void;
}

/**
 * Gives phrases to a device just in time: never more than the buffer ahead of what sounds, so that a flush is soon heard
 * and it is known at any moment which samples have sounded.
 *
 * A device that reports is measured: it is given silence between phrases, and phrases are resampled to its clock, so that
 * each stays in its place in session time however long it is. One that does not is given nothing when there is nothing to
 * say; it runs dry and begins afresh, so that no difference of clocks adds up.
 *
 * One that ran dry in the middle of a phrase has underrun: the rest of the phrase comes later, and that is counted.
 */
export class PlayQueue {
  underruns = 0;
  readonly #options: PlayQueueOptions;
  readonly #timing: PlaybackClock;
  readonly #queue: QueuedPhrase[] = [];
  /** Written but not yet heard to the end, in order. */
  readonly #sounding: QueuedPhrase[] = [];
  /** Samples given to the device. */
  #written = 0;
  #wetSinceMs = 0;
  /** Silence still to be written after the last phrase, samples: a device plays only what fills its buffer. */
  #padding = 0;
  readonly #ending = new AbortController();
  #worker: Promise<void> | null = null;
  #wake: () => void = () => {};
  readonly #unfinished = new Set<Promise<Played>>();

  constructor(options: PlayQueueOptions) {
    this.#options = options;
    this.#timing = new PlaybackClock(options.sampleRateHz);
    if (!options.reports) return;
    this.#padding = Number.POSITIVE_INFINITY;
    this.#start();
  }

  /** How much longer the device takes for its samples than it says, as a share; 0 until that has been measured. */
  get drift(): number {
    return this.#timing.drift;
  }

  /** Queues one phrase. `speech` is kept until it has been written. */
  play(text: string, speech: Speech): Playback {
    const before = this.#queue.at(-1);
    const sound = new PhraseSound(
      speech,
      this.#options.sampleRateHz,
      before?.isCut === false ? before.sound : undefined,
    );
    const phrase = new QueuedPhrase(text, speech, sound);
    const { playback } = phrase;
    this.#unfinished.add(playback.finished);
    void playback.finished.then(() => this.#unfinished.delete(playback.finished));
    this.#queue.push(phrase);
    this.#wake();
    this.#start();
    return playback;
  }

  /** Drops what has not been written; what sounds dies away within the fade. */
  flush(): void {
    const kept = this.#midPhrase;
    for (const phrase of this.#queue.splice(0))
      if (phrase !== kept) phrase.tellUnheard(this.#options.clock.nowMs());
    if (!kept) return;
    kept.isCut = true;
    this.#queue.push(kept);
    // At once, whatever is under way: it is the last.
    this.#write(kept, this.#samples(FADE_MS));
    this.#wake();
  }

  /** The device says how much it has played, or at which pace. */
  report(report: Exclude<PlayerReport, { kind: "holds" }>): void {
    const nowMs = this.#options.clock.nowMs();
    const lateMs =
      report.kind === "played"
        ? this.#timing.report(report.playedMs, nowMs)
        : this.#timing.pace(report.deviceMs, nowMs - report.ageMs);
    // It had run dry where it was not thought to.
    if (lateMs > 0 && this.#midPhrase) this.underruns++;
  }

  /** The device is gone for good: what had not sounded by now will not. No call follows. */
  lose(): void {
    this.#ending.abort();
    const heard = { timing: this.#timing, nowMs: this.#options.clock.nowMs(), written: this.#written };
    for (const phrase of [...this.#sounding.splice(0), ...this.#queue.splice(0)]) phrase.tellCutOff(heard);
  }

  /** Resolves when all has sounded. */
  async drained(): Promise<void> {
    while (this.#unfinished.size > 0) await Promise.all(this.#unfinished);
  }

  #start(): void {
    this.#worker ??= this.#work().finally(() => {
      this.#worker = null;
    });
  }

  /** Writes until nothing is left and what was written has sounded, or the device is gone. */
  async #work(): Promise<void> {
    const { signal } = this.#ending;
    const { clock } = this.#options;
    try {
      while (!signal.aborted && (this.#queue.length > 0 || this.#padding > 0 || this.#sounding.length > 0)) {
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
      const nowMs = this.#options.clock.nowMs();
      const { bufferMs, startMs } = this.#options;
      const isDry = this.#isDry;
      if (isDry) this.#noteDry();
      const phrase = this.#queue[0];
      const room = this.#samples(isDry ? bufferMs : bufferMs + startMs - (this.#dryMs - nowMs));
      if (room <= 0) return;
      if (phrase && !this.#isResting(phrase)) this.#write(phrase, room);
      else if (this.#padding > 0) this.#pad(room);
      else return;
    }
  }

  /** True while a device that has played for long is to run dry before the next phrase begins. */
  #isResting(phrase: QueuedPhrase): boolean {
    if (this.#options.reports || phrase.isAmidSound || phrase.first !== null || this.#isDry) return false;
    return this.#options.clock.nowMs() - this.#wetSinceMs > DRY_EVERY_MS;
  }

  /** Session time at which all that was written will have sounded, ms. */
  get #dryMs(): number {
    return this.#timing.soundsMs(this.#written);
  }

  get #isDry(): boolean {
    return this.#dryMs <= this.#options.clock.nowMs();
  }

  #noteDry(): void {
    // While it is known when they sounded.
    this.#settle();
    if (this.#midPhrase) this.underruns++;
    // What remained of the silence has been played by not being written.
    if (!this.#options.reports) this.#padding = 0;
    this.#wetSinceMs = this.#options.clock.nowMs();
  }

  get #midPhrase(): QueuedPhrase | null {
    const current = this.#queue[0];
    return current && current.first !== null ? current : null;
  }

  #write(phrase: QueuedPhrase, room: number): void {
    this.#beginIfDry();
    if (phrase.first === null) {
      phrase.first = this.#written;
      phrase.startMs = this.#dryMs;
    }
    const samples = phrase.sound.take(room, this.#speedOf(phrase));
    if (phrase.isCut) fadeOut(samples);
    this.#put(samples);
    if (!this.#options.reports) this.#padding = this.#samples(this.#options.bufferMs);
    if (samples.length > 0 && !phrase.sound.isOver && !phrase.isCut) return;
    this.#queue.shift();
    phrase.end = this.#written;
    this.#sounding.push(phrase);
  }

  /** Samples for each that the nominal rate would give, so that the phrase keeps its place in session time. */
  #speedOf({ startMs, sound }: QueuedPhrase): number {
    if (!this.#options.reports) return 1;
    const lateMs = this.#dryMs - (startMs + sound.takenMs);
    const wanted = Math.abs(lateMs) > OUT_OF_PLACE_MS ? 0 : lateMs / CATCH_UP_MS;
    const catchUp = Math.max(-MAX_CATCH_UP, Math.min(MAX_CATCH_UP, wanted));
    return (1 - catchUp) / (1 + this.#timing.drift);
  }

  #pad(room: number): void {
    this.#beginIfDry();
    const samples = new Float32Array(Math.min(room, this.#padding));
    this.#padding -= samples.length;
    this.#put(samples);
  }

  #beginIfDry(): void {
    if (this.#isDry) this.#timing.begin(this.#written, this.#options.clock.nowMs() + this.#options.startMs);
  }

  #put(samples: Float32Array): void {
    this.#options.write(samples);
    this.#written += samples.length;
  }

  /** Reports what has begun to sound and what has sounded to its end. */
  #settle(): void {
    const heard = { timing: this.#timing, nowMs: this.#options.clock.nowMs(), written: this.#written };
    for (const phrase of this.#sounding) phrase.tellStart(heard);
    this.#midPhrase?.tellStart(heard);
    while (this.#sounding[0]?.tellEnd(heard)) this.#sounding.shift();
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
