import type { Playback, Source, Speaker, Speech } from "../../src/core/device.ts";
import type { ReferenceTrack } from "./reference-track.ts";

/** A speaker whose sound is also written down on a reference track, as it really sounded. */
export class TappedSpeaker implements Speaker {
  readonly name: string;
  readonly states?: Source;
  readonly #speaker: Speaker;
  readonly #reference: ReferenceTrack;

  constructor(speaker: Speaker, reference: ReferenceTrack) {
    this.name = speaker.name;
    if (speaker.states) this.states = speaker.states;
    this.#speaker = speaker;
    this.#reference = reference;
  }

  play(text: string, speech: Speech): Playback {
    const playback = this.#speaker.play(text, speech);
    void playback.started.then((startMs) => {
      if (startMs !== null) this.#reference.play(speech, startMs);
    });
    playback.finished.then(
      ({ whole, endMs }) => {
        if (!whole) this.#reference.silenceFrom(endMs);
      },
      // Whoever plays hears of a broken output from `finished` itself.
      () => {},
    );
    return playback;
  }

  flush(): void {
    this.#speaker.flush();
  }

  close(): Promise<void> {
    return this.#speaker.close();
  }

  discard(): Promise<void> {
    return this.#speaker.discard();
  }
}
