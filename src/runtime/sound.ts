import type { Clock } from "../core/clock.ts";
import { type Played, SPEAKER_QUEUE_MS } from "../core/device.ts";
import { isAudible } from "../signal/audible.ts";
import { HeardSound, type HeardSoundListener } from "./heard-sound.ts";
import { Playbacks } from "./playbacks.ts";
import type { SpeakerQueue } from "./speaker-queue.ts";

/** Sound of one micro-turn and what it says. */
export interface ModelSound {
  samples: Float32Array;
  sampleRateHz: number;
  /** Words or pieces of them; "" for none. */
  text: string;
}

/** One on its way. */
interface Piece {
  text: string;
  isAudible: boolean;
}

/**
 * Plays the sound that a model puts out itself, micro-turn after micro-turn, without a gap. A silent speaker is first
 * given as much silence as lets a step take half a micro-turn longer than the one before. Where steps are so late that the
 * speaker runs dry all the same, this begins anew.
 *
 * What has piled up after a late step is made up for in silence: pieces in which nothing can be heard are left out while
 * the speaker has more than a whole one to spare. A piece that would sound more than 400 ms late is dropped and counted,
 * whatever it holds. It waits for no phrase of a voice either.
 */
export class SoundOutput {
  /** Pieces that would have come too late. */
  dropped = 0;
  /** Times that the next piece came when the one before had sounded. */
  underruns = 0;
  readonly #clock: Clock;
  readonly #speaker: SpeakerQueue;
  readonly #heard: HeardSound;
  /** Not finished, oldest first. */
  readonly #underWay = new Set<Piece>();
  readonly #playbacks = new Playbacks();
  /** True from the first piece to a flush. */
  #isRunning = false;

  constructor(clock: Clock, speaker: SpeakerQueue, listener: HeardSoundListener) {
    this.#clock = clock;
    this.#speaker = speaker;
    this.#heard = new HeardSound(listener);
  }

  /** True when nothing is under way that can be heard or has words. */
  get idle(): boolean {
    return ![...this.#underWay].some((piece) => piece.isAudible || piece.text !== "");
  }

  /** @param sound kept until it has sounded. @returns false if it says nothing and cannot be heard. */
  put({ samples, sampleRateHz, text }: ModelSound): boolean {
    const piece = { text, isAudible: isAudible(samples) };
    const says = piece.isAudible || text !== "";
    const durationMs = (samples.length / sampleRateHz) * 1000;
    const { aheadMs, neededAheadMs } = this.#speaker;
    const leadMs = neededAheadMs + durationMs / 2;
    if (!says && aheadMs > leadMs + durationMs) return false;
    if (aheadMs > SPEAKER_QUEUE_MS) {
      this.dropped++;
      return says;
    }
    if (aheadMs <= neededAheadMs) {
      if (this.#isRunning) this.underruns++;
      const lead = new Float32Array(Math.round(((leadMs - aheadMs) / 1000) * sampleRateHz));
      this.#play({ text: "", isAudible: false }, lead, sampleRateHz);
    }
    this.#isRunning = true;
    this.#play(piece, samples, sampleRateHz);
    return says;
  }

  /**
   * Forgets what has not sounded: the speaker has been flushed.
   * @returns the words that will not be heard, one that is cut included.
   */
  flush(): string {
    const rest = [...this.#underWay].map(({ text }) => text).join("");
    const dropsWord = rest !== "" && !/^\s/.test(rest);
    const unsaid = (dropsWord ? this.#heard.openWord : "") + rest;
    for (const piece of this.#underWay) piece.text = "";
    if (this.#underWay.size > 0) this.#heard.cut(this.#clock.nowMs(), dropsWord);
    this.#isRunning = false;
    return unsaid.trim();
  }

  /** Resolves when all has sounded and its last words have been told. @throws the speaker's RuntimeError. */
  async drained(): Promise<void> {
    while (this.#playbacks.size > 0) await this.#playbacks.settled();
    this.#heard.end();
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    this.#playbacks.throwIfFailed();
  }

  #play(piece: Piece, samples: Float32Array, sampleRateHz: number): void {
    this.#underWay.add(piece);
    const playback = this.#speaker.play(piece.text, { samples, sampleRateHz, isStream: true });
    const report = playback.finished.then((played) => this.#finished(piece, played));
    this.#playbacks.add(report, () => this.#underWay.delete(piece));
  }

  #finished(piece: Piece, played: Played): void {
    this.#underWay.delete(piece);
    // One that was cut belongs to what the flush said of it, and a lost speaker has sounded nothing.
    if (played.whole) this.#heard.add({ ...played, text: piece.text }, piece.isAudible);
    if (this.#underWay.size === 0) this.#heard.end();
  }
}
