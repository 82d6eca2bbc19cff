import type { Playback, Played, Speaker, Speech } from "../core/device.ts";

/** A speaker that also notes what it has really played, in order. */
export class NotingSpeaker implements Speaker {
  readonly name: string;
  readonly #speaker: Speaker;
  readonly #note: (played: Played, speech: Speech) => void;

  /** @param note is told what sounded of a phrase, and the whole of its speech. */
  constructor(speaker: Speaker, note: (played: Played, speech: Speech) => void) {
    this.name = speaker.name;
    this.#speaker = speaker;
    this.#note = note;
  }

  play(text: string, speech: Speech): Playback {
    const playback = this.#speaker.play(text, speech);
    playback.finished.then(
      (played) => {
        if (played.endMs > played.startMs) this.#note(played, speech);
      },
      () => {
        // The session awaits the same promise and tells of the failure.
      },
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
