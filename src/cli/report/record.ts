import type { Played, Speaker } from "../../core/device.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../../runtime/events.ts";
import { NotingSpeaker } from "../heard.ts";
import { Collector } from "../view/collector.ts";

/** The whole of one session, for a report: grows with its length. */
export class SessionRecord implements SessionObserver {
  readonly collector = new Collector();
  /** What really sounded, in order. */
  readonly played: Played[] = [];

  step(record: StepRecord): void {
    this.collector.step(record);
  }

  event(event: SessionEvent): void {
    this.collector.event(event);
  }

  /** Notes what `speaker` plays. */
  readonly listenTo = (speaker: Speaker): Speaker =>
    new NotingSpeaker(speaker, (played) => {
      this.played.push(played);
    });
}
