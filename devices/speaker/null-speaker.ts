import type { Clock } from "../../src/core/clock.ts";
import { ClockedSpeaker } from "./clocked-speaker.ts";

/** A speaker that nobody hears: it keeps time as any other, so that a session behaves the same. */
export class NullSpeaker extends ClockedSpeaker {
  constructor(clock: Clock) {
    super("null speaker", clock);
  }
}
