import type { Speaker } from "../../src/core/device.ts";
import { SpeakerTap } from "../speaker/speaker-tap.ts";
import type { ReferenceTrack } from "./reference-track.ts";

/** A speaker whose sound is also written down on a reference track, as it really sounded. */
export class TappedSpeaker extends SpeakerTap {
  constructor(speaker: Speaker, reference: ReferenceTrack) {
    super(speaker, {
      began: (speech, startMs) => reference.play(speech, startMs),
      ended: ({ whole, endMs }) => {
        if (!whole) reference.silenceFrom(endMs);
      },
    });
  }
}
