import type { Played, Speaker } from "../../core/device.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../../runtime/events.ts";
import { NotingSpeaker } from "../heard.ts";
import type { Scene } from "../scene.ts";
import { Collector } from "../view/collector.ts";
import type { HeardWord } from "./phrases.ts";
import type { TimelineData } from "./stave.ts";

/** What was said and heard in one session, and for a report the whole of it: grows with its length. */
export class SessionRecord implements SessionObserver {
  readonly collector: Collector;
  /** What really sounded, in order. */
  readonly played: Played[] = [];
  /** Words that speech to text has heard, in order. */
  readonly heard: HeardWord[] = [];
  /** True while the last word may go on with the next piece of sound. */
  #wordIsOpen = false;

  /** @param isForReport false to keep words only. */
  constructor({ isForReport = true } = {}) {
    this.collector = new Collector(isForReport ? Number.POSITIVE_INFINITY : 0);
  }

  step(record: StepRecord): void {
    this.collector.step(record);
  }

  event(event: SessionEvent): void {
    this.collector.event(event);
    if (event.kind === "text" && event.heardMs !== undefined) {
      this.heard.push({ text: event.text.trim(), startMs: event.heardMs });
    }
  }

  /** What is drawn of it; `truth` is what should have happened, where that is known. */
  timeline(microTurnMs: number, truth: Scene["truth"] | null): TimelineData {
    const { columns, marks } = this.collector;
    return { microTurnMs, columns, marks, played: this.played, heard: this.heard, truth };
  }

  /** Notes what `speaker` plays. */
  readonly listenTo = (speaker: Speaker): Speaker =>
    new NotingSpeaker(speaker, (played, { isStream }) => {
      if (isStream) this.#notePiece(played);
      else this.played.push(played);
    });

  /** A model's own sound comes in pieces, each with a piece of a word or without. */
  #notePiece(played: Played): void {
    const { text, endMs } = played;
    const last = this.played.at(-1);
    const isRest = this.#wordIsOpen && last !== undefined && !/^\s/.test(text);
    this.#wordIsOpen = text !== "";
    if (text === "") return;
    if (isRest) this.played[this.played.length - 1] = { ...last, text: last.text + text, endMs };
    else this.played.push(played);
  }
}
