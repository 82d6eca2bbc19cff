import { setMaxListeners } from "node:events";
import type { Clock } from "../../src/core/clock.ts";
import {
  type Playback,
  type Played,
  SPEAKER_QUEUE_MS,
  type Speaker,
  type Speech,
} from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";

/** Receives the sound of one phrase when it is over, cut to what was heard; `startMs` is session time. */
export type Heard = (speech: Speech, startMs: number) => Promise<void>;

/**
 * A speaker that plays on the session clock alone: each phrase takes exactly its length, one after the other, and a
 * flush cuts to the sample. What was heard goes to `heard`, in order.
 */
export class ClockedSpeaker implements Speaker {
  readonly name: string;
  readonly #clock: Clock;
  readonly #heard: Heard;
  #flushing = flushController();
  #silentFromMs = 0;
  /** Ends when the last phrase of the queue has: each phrase waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string, clock: Clock, heard: Heard = async () => {}) {
    this.name = name;
    this.#clock = clock;
    this.#heard = heard;
  }

  /** @throws RuntimeError "internal" if more than 400 ms wait already: the caller's queue is to hold the rest. */
  play(text: string, speech: Speech): Playback {
    const nowMs = this.#clock.nowMs();
    const startMs = Math.max(nowMs, this.#silentFromMs);
    if (startMs - nowMs > SPEAKER_QUEUE_MS + 1) {
      throw new RuntimeError("internal", {
        part: this.name,
        problem: `${(startMs - nowMs).toFixed(0)} ms of sound wait, expected at most ${SPEAKER_QUEUE_MS}`,
      });
    }
    const endMs = startMs + (speech.samples.length / speech.sampleRateHz) * 1000;
    this.#silentFromMs = endMs;
    const { signal } = this.#flushing;
    const started = this.#clock.sleepUntil(startMs, signal).then(
      () => startMs,
      () => null,
    );
    const finished = this.#sound({ text, startMs, endMs, whole: true }, speech, signal, this.#last);
    this.#last = finished.catch(() => {});
    return { started, finished };
  }

  flush(): void {
    this.#silentFromMs = this.#clock.nowMs();
    this.#flushing.abort();
    this.#flushing = flushController();
  }

  async close(): Promise<void> {
    this.flush();
    await this.#last;
  }

  async discard(): Promise<void> {
    await this.close();
  }

  async #sound(
    planned: Played,
    speech: Speech,
    signal: AbortSignal,
    before: Promise<unknown>,
  ): Promise<Played> {
    const cutMs = await this.#clock.sleepUntil(planned.endMs, signal).then(
      () => null,
      () => this.#clock.nowMs(),
    );
    const played = cutMs === null ? planned : cutAt(planned, cutMs);
    const heardSamples = Math.round(((played.endMs - played.startMs) / 1000) * speech.sampleRateHz);
    await before;
    if (heardSamples > 0) {
      const samples = speech.samples.subarray(0, heardSamples);
      await this.#clock.during(this.#heard({ ...speech, samples }, planned.startMs));
    }
    return played;
  }
}

/** Every piece that waits listens to it, and of a stream there are more than Node's usual ten: the queue bounds them. */
function flushController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** A phrase that had not begun is over where it was cut. */
function cutAt(planned: Played, cutMs: number): Played {
  return { ...planned, whole: false, startMs: Math.min(planned.startMs, cutMs), endMs: cutMs };
}
