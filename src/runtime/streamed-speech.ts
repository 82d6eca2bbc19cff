import { type Clock, unlessAborted } from "../core/clock.ts";
import {
  type Played,
  SPEAKER_QUEUE_MS,
  type Speech,
  type SpeechPiece,
  type StreamingVoice,
  type Utterance,
} from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { isAudible } from "../signal/audible.ts";
import type { Stretch } from "./heard-sound.ts";
import { HeardWords, type SpokenPiece } from "./heard-words.ts";
import { Playbacks } from "./playbacks.ts";
import type { SpeakerQueue } from "./speaker-queue.ts";
import type { SpokenWords } from "./speech.ts";
import { WaitingPhrases } from "./waiting-phrases.ts";

/**
 * Words that come no later than this after those before are of the same utterance, ms: a model that speaks along gives a
 * word every other micro-turn of 200 ms.
 */
const UTTERANCE_GAP_MS = 350;

/** What streamed speech reports. Called between the steps of its own work; must not throw. */
export interface StreamedSpeechListener {
  /** The first sample of a word sounds now, at `startMs`. */
  said(word: string, startMs: number): void;
  /** A word has sounded to its end. */
  heard(word: Stretch): void;
  /** The voice could not go on with an utterance; the rest of it is lost. */
  voiceFailed(fault: unknown): void;
}

/**
 * Takes words to a voice as they come, and what it makes of them to the speaker, piece by piece. Words that follow each
 * other closely are one utterance: the voice knows what comes next, and speaks them in one go.
 *
 * A silent speaker is first given as much silence as lets a piece take half its length longer than the one before.
 */
export class StreamedSpeech implements SpokenWords {
  underruns = 0;
  readonly #clock: Clock;
  readonly #voice: StreamingVoice;
  readonly #speaker: SpeakerQueue;
  readonly #listener: StreamedSpeechListener;
  readonly #heard: HeardWords;
  readonly #waiting = new WaitingPhrases();
  #saidMs = 0;
  /** True when nothing follows what waits. */
  #isPaused = true;
  #utterance: Utterance | null = null;
  /** With the speaker and not finished, oldest first. */
  readonly #underWay = new Set<SpokenPiece>();
  /** Waits for the speaker to have room. */
  #next: SpokenPiece | null = null;
  /** What follows this one has been flushed. */
  #lastKept: SpokenPiece | null = null;
  readonly #playbacks = new Playbacks();
  #flushing = new AbortController();
  #worker: Promise<void> | null = null;
  /** Tells the worker that there are more words, or that no more follow. */
  #wake: () => void = () => {};

  constructor(clock: Clock, voice: StreamingVoice, speaker: SpeakerQueue, listener: StreamedSpeechListener) {
    this.#clock = clock;
    this.#voice = voice;
    this.#speaker = speaker;
    this.#listener = listener;
    this.#heard = new HeardWords((word) => listener.heard(word));
  }

  get dropped(): number {
    return this.#waiting.dropped;
  }

  get idle(): boolean {
    return this.#worker === null && this.#playbacks.size === 0;
  }

  get waiting(): number {
    return this.#waiting.length + this.#underWay.size;
  }

  say(phrase: string): void {
    this.throwIfFailed();
    this.#waiting.push(phrase);
    this.#saidMs = this.#clock.nowMs();
    this.#isPaused = false;
    this.#wake();
    this.#worker ??= this.#work();
  }

  pause(): void {
    if (this.#clock.nowMs() - this.#saidMs >= UTTERANCE_GAP_MS) this.#endUtterance();
  }

  flush(): string {
    const sounding = [...this.#underWay];
    const pieces = this.#next ? [...sounding, this.#next] : sounding;
    const first = pieces[0];
    const isCut = first ? first.word === "" && first.isAudible : this.#utterance !== null;
    const silenced = [
      isCut ? this.#heard.open : "",
      ...pieces.map(({ word }) => word),
      this.#utterance?.unsaid ?? "",
      ...this.#waiting.flush(),
    ];
    if (this.#utterance !== null) this.#lastKept = sounding.at(-1) ?? null;
    // With something under way, what becomes of that tells.
    if (isCut && sounding.length === 0) this.#heard.cut();
    this.#flushing.abort(new RuntimeError("internal", { part: "speech", problem: "flushed" }));
    this.#flushing = new AbortController();
    this.#speaker.flush();
    return silenced.filter((words) => words !== "").join(" ");
  }

  async drained(): Promise<void> {
    this.#endUtterance();
    while (!this.idle) await Promise.all([this.#worker, this.#playbacks.settled()]);
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    this.#playbacks.throwIfFailed();
  }

  #endUtterance(): void {
    this.#isPaused = true;
    this.#wake();
  }

  async #work(): Promise<void> {
    try {
      for (let phrase = this.#waiting.shift(); phrase !== undefined; phrase = this.#waiting.shift()) {
        await this.#utter(phrase, this.#flushing.signal);
      }
    } catch (fault) {
      this.#playbacks.fail(fault);
    }
    this.#worker = null;
  }

  /** One utterance from its first phrase until all of it is with the speaker. */
  async #utter(phrase: string, signal: AbortSignal): Promise<void> {
    try {
      const utterance = this.#voice.begin(signal);
      this.#utterance = utterance;
      utterance.say(phrase);
      /** True if the piece before went straight on: a pause after it is the voice's fault. */
      let goesOn = false;
      for (;;) {
        const made = await this.#clock.during(utterance.next());
        if (signal.aborted || made === null) return;
        if (made === "starved") {
          if (await this.#feed(utterance, signal)) goesOn = false;
        } else {
          await this.#put(made, goesOn, signal);
          goesOn = true;
        }
      }
    } catch (fault) {
      if (signal.aborted) return;
      // Without its program a voice will never speak; any other fault may be this utterance's alone.
      if (fault instanceof RuntimeError && fault.code === "missing-program") throw fault;
      this.#listener.voiceFailed(fault);
    } finally {
      this.#utterance = null;
      this.#endWordIfSilent();
    }
  }

  /** Gives the voice the next words as soon as there are any, or says that none follow. @returns true if it had to wait. */
  async #feed(utterance: Utterance, signal: AbortSignal): Promise<boolean> {
    const more = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const waits = this.#waiting.length === 0 && !this.#isPaused;
    if (waits) await unlessAborted(more, signal);
    const phrase = this.#waiting.shift();
    if (phrase !== undefined) utterance.say(phrase);
    else if (this.#isPaused) utterance.end();
    return waits;
  }

  /** Plays a piece when the speaker has room for it. */
  async #put(made: SpeechPiece, goesOn: boolean, signal: AbortSignal): Promise<void> {
    const { word, ...speech } = made;
    const piece = { word, isAudible: isAudible(speech.samples) };
    this.#next = piece;
    try {
      await this.#clock.sleepUntil(this.#speaker.soundsUntilMs - SPEAKER_QUEUE_MS, signal);
    } finally {
      this.#next = null;
    }
    const { aheadMs, neededAheadMs } = this.#speaker;
    if (aheadMs <= neededAheadMs) {
      if (goesOn) this.underruns++;
      const halfMs = (speech.samples.length / speech.sampleRateHz) * 500;
      const lead = Math.round(((neededAheadMs - aheadMs + halfMs) / 1000) * speech.sampleRateHz);
      this.#play({ word: "", isAudible: false }, { ...speech, samples: new Float32Array(lead) });
    }
    this.#play(piece, speech);
  }

  #play(piece: SpokenPiece, speech: Speech): void {
    this.#underWay.add(piece);
    const playback = this.#speaker.play(piece.word, speech);
    const report = async () => {
      const startMs = await playback.started;
      if (startMs !== null && piece.word !== "") this.#listener.said(piece.word, startMs);
      this.#finished(piece, await playback.finished);
    };
    this.#playbacks.add(report(), () => this.#underWay.delete(piece));
  }

  #finished(piece: SpokenPiece, played: Played): void {
    this.#underWay.delete(piece);
    this.#heard.add(piece, played);
    if (piece === this.#lastKept) this.#heard.cut();
    this.#endWordIfSilent();
  }

  /** The last word is over when nothing follows it. */
  #endWordIfSilent(): void {
    if (this.#utterance === null && this.#underWay.size === 0) this.#heard.end();
  }
}
