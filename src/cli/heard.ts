import { SpeakerTap } from "../../devices/speaker/speaker-tap.ts";
import type { Played, Speaker, Speech } from "../core/device.ts";

/** A speaker that also notes what it has really played, in order. */
export class NotingSpeaker extends SpeakerTap {
  /** @param note is told what sounded of a phrase, and the whole of its speech. */
  constructor(speaker: Speaker, note: (played: Played, speech: Speech) => void) {
    super(speaker, {
      ended: (played, speech) => {
        if (played.endMs > played.startMs) note(played, speech);
      },
    });
  }
}
