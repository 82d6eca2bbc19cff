import type { Clock } from "../core/clock.ts";
import type { Action, ActionSink, Played, Speaker, StreamingVoice, Voice } from "../core/device.ts";
import { messageOf } from "../core/errors.ts";
import type { InputEvent, MicroTurnOutput, OutputPart } from "../core/micro-turn.ts";
import type { Account } from "./account.ts";
import type { Stretch } from "./heard-sound.ts";
import { Phrases } from "./phrases.ts";
import { judge, type Policy } from "./policy.ts";
import { SoundOutput } from "./sound.ts";
import { SpeakerQueue } from "./speaker-queue.ts";
import { SpeechOutput, type SpokenWords } from "./speech.ts";
import { StreamedSpeech } from "./streamed-speech.ts";
import type { Transcript } from "./transcript.ts";

export interface OutputsOptions {
  clock: Clock;
  voice: Voice | StreamingVoice;
  speaker: Speaker;
  account: Account;
  transcript: Transcript;
  policy: Policy;
  actionSinks: readonly ActionSink[];
}

/** Carries out what the model chose, part by part. Never waits: sound, like everything slow, goes on beside the loop. */
export class Outputs {
  /** Session time at which the model last said or did something, or its words last sounded, ms. */
  lastSaidMs = 0;
  /** What comes round as input: set by the session before the first micro-turn. */
  heard: (event: InputEvent) => void = () => {};

  readonly #clock: Clock;
  readonly #account: Account;
  readonly #voiceName: string;
  readonly #policy: Policy;
  readonly #actionSinks: readonly ActionSink[];
  readonly #phrases = new Phrases();
  readonly #speech: SpokenWords;
  readonly #sound: SoundOutput;
  readonly #transcript: Transcript;

  constructor(options: OutputsOptions) {
    this.#clock = options.clock;
    this.#account = options.account;
    this.#voiceName = options.voice.name;
    this.#policy = options.policy;
    this.#actionSinks = options.actionSinks;
    this.#transcript = options.transcript;
    const speaker = new SpeakerQueue(options.clock, options.speaker);
    const report = {
      said: (text: string, startMs: number) => this.#account.write(startMs, { kind: "speech", text }),
      heard: (stretch: Stretch) => this.#soundHeard(stretch),
      voiceFailed: (fault: unknown) => this.#voiceFailed(fault),
    };
    const { clock, voice } = options;
    this.#speech =
      "begin" in voice
        ? new StreamedSpeech(clock, voice, speaker, report)
        : new SpeechOutput(clock, voice, speaker, {
            ...report,
            started: report.said,
            played: (played, durationMs) =>
              this.#played(played, options.transcript.add(played, durationMs)?.text),
          });
    this.#sound = new SoundOutput(clock, speaker, report);
  }

  /** True when nothing is under way that a person could hear. */
  get idle(): boolean {
    return this.#speech.idle && this.#sound.idle;
  }

  /** Phrases that have not sounded to their end. */
  get waitingPhrases(): number {
    return this.#speech.waiting;
  }

  get droppedPhrases(): number {
    return this.#speech.dropped;
  }

  /** Pieces of the model's own sound that would have come too late. */
  get droppedSound(): number {
    return this.#sound.dropped;
  }

  /** Times that the model's own sound, or a voice's, came too late to go on without a pause. */
  get underruns(): number {
    return this.#sound.underruns + this.#speech.underruns;
  }

  /** @throws the speaker's RuntimeError if it has failed. */
  play(output: MicroTurnOutput): void {
    this.#speech.throwIfFailed();
    this.#sound.throwIfFailed();
    const nowMs = this.#clock.nowMs();
    for (const [i, part] of output.parts.entries()) {
      let says = true;
      switch (part.kind) {
        case "speech":
          this.#phrases.add(part.text);
          break;
        case "yield":
          this.#account.write(nowMs, { kind: "yield", text: this.flush() });
          break;
        case "sound":
          says = this.#sound.put({ ...part, text: wordsOfSound(output.parts, i) });
          break;
        case "text":
          if (!isWordOfSound(output.parts, i)) this.#account.write(nowMs, part);
          break;
        case "action":
          this.#act(part, nowMs);
          break;
        default:
          part satisfies never;
      }
      if (says) this.lastSaidMs = nowMs;
    }
    const phrase = this.#phrases.endBlock(output.unfinished ?? false);
    if (phrase !== "") this.#speech.say(phrase);
    else if (!output.unfinished) this.#speech.pause();
  }

  /** Falls silent at once and forgets what was still to be said. @returns those words. */
  flush(): string {
    const unsaid = [this.#speech.flush(), this.#sound.flush(), this.#phrases.clear()];
    return unsaid.filter((words) => words !== "").join(" ");
  }

  /** Resolves when all that was said has sounded. @throws the speaker's RuntimeError. */
  async drained(): Promise<void> {
    await this.#speech.drained();
    await this.#sound.drained();
  }

  /** Hands an action that the policy allows to whoever carries it out; the account has those of nobody too. */
  #act({ name, args }: Action, nowMs: number): void {
    const verdict = judge(this.#policy, { name, args });
    if (!verdict.allowed) {
      this.#account.write(nowMs, { kind: "vetoed", name, args, reason: verdict.reason });
      return;
    }
    this.#account.write(nowMs, { kind: "action", ...verdict.action });
    this.#actionSinks.find((sink) => sink.takes(name))?.act(verdict.action);
  }

  #played(played: Played, heardText: string | undefined): void {
    this.lastSaidMs = Math.max(this.lastSaidMs, played.endMs);
    if (heardText === undefined) return;
    const { startMs, endMs } = played;
    this.heard({ kind: "played", timeMs: startMs, endMs, text: heardText });
  }

  #soundHeard(stretch: Stretch): void {
    const { startMs, endMs, text } = stretch;
    this.lastSaidMs = Math.max(this.lastSaidMs, endMs);
    this.#transcript.add({ ...stretch, whole: true }, endMs - startMs);
    this.heard({ kind: "played", timeMs: startMs, endMs, text });
  }

  #voiceFailed(fault: unknown): void {
    const detail = messageOf(fault);
    const timeMs = this.#clock.nowMs();
    this.heard({ kind: "device", timeMs, device: this.#voiceName, state: "lost", detail });
  }
}

/** True for a text that the sound after it in the same block says. */
function isWordOfSound(parts: readonly OutputPart[], at: number): boolean {
  return parts.slice(at).some(({ kind }) => kind === "sound");
}

/** The texts between the sound before and the sound at `at`. */
function wordsOfSound(parts: readonly OutputPart[], at: number): string {
  const before = parts.slice(0, at);
  const from = before.findLastIndex(({ kind }) => kind === "sound") + 1;
  return before
    .slice(from)
    .map((part) => (part.kind === "text" ? part.text : ""))
    .join("");
}
