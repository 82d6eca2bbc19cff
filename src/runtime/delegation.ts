import type { Action, ActionSink } from "../core/device.ts";
import type { InputEvent, MicroTurnInput, VideoFrame } from "../core/micro-turn.ts";
import { REASONER_DEVICE, type Reasoner, type SessionSnapshot, type Utterance } from "../core/reasoner.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "./events.ts";

/** Utterances that are remembered; the oldest go first. */
const UTTERANCES = 200;
/** Characters of one that are kept: a result of the reasoner may be long, and it knows it anyway. */
const UTTERANCE_CHARS = 500;

/** What may leave the device with a task, beside its text, the time and the state of devices. */
export interface SharePolicy {
  /** What was typed, said and heard, and the last number said. */
  transcript: boolean;
  /** The newest picture. */
  stills: boolean;
}

/**
 * Carries the model's dealings with the background reasoner. Actions, with what they are given:
 *
 *   delegate {text}         hands a task over
 *   amend    {text, task?}  corrects or adds to it
 *   answer   {text, task?}  answers a question of the reasoner
 *   cancel   {task?}        drops it
 *
 * Without `task` the newest is meant. It is also the observer that knows what was said, so that a task can be given
 * with what it is about. What the policy does not share is not even remembered.
 */
export class Delegation implements ActionSink, SessionObserver {
  readonly name = REASONER_DEVICE;
  readonly #reasoner: Reasoner;
  readonly #share: SharePolicy;
  readonly #utterances: Utterance[] = [];
  readonly #devices = new Map<string, "ready" | "lost" | "ended">();
  #elapsedMs = 0;
  #lastNumber: number | null = null;
  #still: VideoFrame | null = null;

  constructor(reasoner: Reasoner, share: SharePolicy) {
    this.#reasoner = reasoner;
    this.#share = share;
  }

  takes(name: string): boolean {
    return ["delegate", "amend", "answer", "cancel"].includes(name);
  }

  act({ name, args }: Action): void {
    const text = typeof args.text === "string" ? args.text : "";
    const task = typeof args.task === "string" ? args.task : undefined;
    if (name === "delegate") this.#reasoner.delegate(text, this.snapshot());
    else if (name === "amend") this.#reasoner.amend(text, task);
    else if (name === "answer") this.#reasoner.answer(text, task);
    else if (name === "cancel") this.#reasoner.cancel(task);
  }

  step({ inputs }: StepRecord): void {
    for (const input of inputs) {
      this.#elapsedMs = input.startMs + input.durationMs;
      for (const event of input.events) this.#note(event);
      this.#see(input);
    }
  }

  event(event: SessionEvent): void {
    if (event.kind === "yield") this.#utter("device", event.tMs, event.text, false);
  }

  /** What the reasoner may know of the session so far. */
  snapshot(): SessionSnapshot {
    return {
      elapsedMs: this.#elapsedMs,
      transcript: this.#utterances.slice(),
      counts: this.#lastNumber === null ? [] : [{ name: "last number said", value: this.#lastNumber }],
      devices: [...this.#devices].map(([device, state]) => ({ device, state })),
      stills: this.#still === null ? [] : [this.#still],
    };
  }

  #note(event: InputEvent): void {
    switch (event.kind) {
      case "text":
        this.#utter("person", event.timeMs, event.text);
        break;
      case "played":
        this.#utter("device", event.timeMs, event.text);
        break;
      case "reasoner":
        if (event.state === "result" || event.state === "ask") {
          this.#utter("reasoner", event.timeMs, event.text);
        }
        break;
      case "device":
        if (event.device !== REASONER_DEVICE) this.#devices.set(plainName(event.device), event.state);
        break;
      case "serial":
        break;
      default:
        event satisfies never;
    }
  }

  #utter(by: Utterance["by"], timeMs: number, text: string, heard = true): void {
    if (!this.#share.transcript || text.trim() === "") return;
    this.#utterances.push({ by, timeMs, text: text.trim().slice(0, UTTERANCE_CHARS), heard });
    if (this.#utterances.length > UTTERANCES) this.#utterances.shift();
    const number = by === "device" && heard ? /(\d+)\D*$/.exec(text)?.[1] : undefined;
    if (number !== undefined) this.#lastNumber = Number(number);
  }

  #see({ frames }: MicroTurnInput): void {
    const newest = frames.at(-1);
    // The frame is the timeline's only until the next step.
    if (this.#share.stills && newest) this.#still = { ...newest, rgb: newest.rgb.slice() };
  }
}

/** A device's name without the files and paths in it, which are nobody else's business. */
function plainName(device: string): string {
  return device
    .split(" ")
    .filter((word) => !/[/\\.:]/.test(word))
    .join(" ");
}
