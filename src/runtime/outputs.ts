import type { Clock } from "../core/clock.ts";
import type { Action, ActionSink, Played, Speaker, Voice } from "../core/device.ts";
import { messageOf } from "../core/errors.ts";
import type { InputEvent, MicroTurnOutput } from "../core/micro-turn.ts";
import type { Account } from "./account.ts";
import { Phrases } from "./phrases.ts";
import { judge, type Policy } from "./policy.ts";
import { SpeechOutput } from "./speech.ts";
import type { Transcript } from "./transcript.ts";

export interface OutputsOptions {
  clock: Clock;
  voice: Voice;
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
  readonly #speech: SpeechOutput;

  constructor(options: OutputsOptions) {
    this.#clock = options.clock;
    this.#account = options.account;
    this.#voiceName = options.voice.name;
    this.#policy = options.policy;
    this.#actionSinks = options.actionSinks;
    this.#speech = new SpeechOutput(options.clock, options.voice, options.speaker, {
      started: (text, startMs) => this.#account.write(startMs, { kind: "speech", text }),
      played: (played, durationMs) => this.#played(played, options.transcript.add(played, durationMs)?.text),
      voiceFailed: (fault) => this.#voiceFailed(fault),
    });
  }

  get idle(): boolean {
    return this.#speech.idle;
  }

  /** Phrases that have not sounded to their end. */
  get waitingPhrases(): number {
    return this.#speech.waiting;
  }

  get droppedPhrases(): number {
    return this.#speech.dropped;
  }

  /** @throws the speaker's RuntimeError if it has failed. */
  play(output: MicroTurnOutput): void {
    this.#speech.throwIfFailed();
    const nowMs = this.#clock.nowMs();
    if (output.parts.length > 0) this.lastSaidMs = nowMs;
    for (const part of output.parts) {
      switch (part.kind) {
        case "speech":
          this.#phrases.add(part.text);
          break;
        case "yield":
          this.#account.write(nowMs, { kind: "yield", text: this.flush() });
          break;
        case "text":
          this.#account.write(nowMs, { kind: "text", text: part.text });
          break;
        case "action":
          this.#act(part, nowMs);
          break;
        default:
          part satisfies never;
      }
    }
    const phrase = this.#phrases.endBlock(output.unfinished ?? false);
    if (phrase !== "") this.#speech.say(phrase);
  }

  /** Falls silent at once and forgets what was still to be said. @returns those words. */
  flush(): string {
    return [this.#speech.flush(), this.#phrases.clear()].filter((words) => words !== "").join(" ");
  }

  /** Resolves when all that was said has sounded. @throws the speaker's RuntimeError. */
  drained(): Promise<void> {
    return this.#speech.drained();
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

  #voiceFailed(fault: unknown): void {
    const detail = messageOf(fault);
    const timeMs = this.#clock.nowMs();
    this.heard({ kind: "device", timeMs, device: this.#voiceName, state: "lost", detail });
  }
}
