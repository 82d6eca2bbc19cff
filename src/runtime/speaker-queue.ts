import type { Clock } from "../core/clock.ts";
import type { Playback, Speaker, Speech } from "../core/device.ts";

/** A reckoning that is off by less than this is left alone, ms: it is a matter of rounding. */
const EXACT_MS = 1;

/** A speaker, and how far ahead of what sounds it has been filled: shared by all that play on it. */
export class SpeakerQueue {
  readonly #clock: Clock;
  readonly #speaker: Speaker;
  /** Session time at which what the speaker holds will have sounded, ms. */
  #soundsUntilMs = 0;
  /** Sound that it was given since the last flush and has not reported as finished, ms. */
  #unfinishedMs = 0;
  #flushes = 0;

  constructor(clock: Clock, speaker: Speaker) {
    this.#clock = clock;
    this.#speaker = speaker;
  }

  /** How long before it sounds the next piece of a stream must be here, ms. */
  get neededAheadMs(): number {
    return this.#speaker.aheadMs ?? 0;
  }

  get soundsUntilMs(): number {
    return this.#soundsUntilMs;
  }

  /** Sound that the speaker still has, ms. */
  get aheadMs(): number {
    return Math.max(0, this.#soundsUntilMs - this.#clock.nowMs());
  }

  play(text: string, speech: Speech): Playback {
    const durationMs = (speech.samples.length / speech.sampleRateHz) * 1000;
    const playback = this.#speaker.play(text, speech);
    this.#unfinishedMs += durationMs;
    this.#soundsUntilMs = Math.max(this.#clock.nowMs(), this.#soundsUntilMs) + durationMs;
    const flushes = this.#flushes;
    const settle = (endMs: number | null) => {
      if (flushes !== this.#flushes) return;
      this.#unfinishedMs -= durationMs;
      if (endMs !== null) this.#correct(endMs + this.#unfinishedMs);
    };
    playback.finished.then(
      ({ whole, endMs }) => settle(whole ? endMs : null),
      () => settle(null),
    );
    return playback;
  }

  flush(): void {
    this.#speaker.flush();
    this.#flushes++;
    this.#unfinishedMs = 0;
    this.#soundsUntilMs = this.#clock.nowMs();
  }

  /** What was reckoned gives way to what the speaker says: its clock may be slow, or it ran dry for a moment. */
  #correct(soundsUntilMs: number): void {
    if (Math.abs(soundsUntilMs - this.#soundsUntilMs) > EXACT_MS) this.#soundsUntilMs = soundsUntilMs;
  }
}
