import type { Playback, Played, Source, Speaker, Speech } from "../../src/core/device.ts";

/** What a tap tells of each phrase. */
export interface TapEvents {
  /** Its first sample sounds at session time `startMs`. */
  began?: (speech: Speech, startMs: number) => void;
  /** It has sounded, as far as it did: perhaps not at all. `speech` is the whole of it. */
  ended?: (played: Played, speech: Speech) => void;
}

/** A speaker in front of another, which tells what that one really plays. */
export class SpeakerTap implements Speaker {
  readonly name: string;
  readonly states?: Source;
  readonly #speaker: Speaker;
  readonly #events: TapEvents;

  constructor(speaker: Speaker, events: TapEvents) {
    this.name = speaker.name;
    if (speaker.states) this.states = speaker.states;
    this.#speaker = speaker;
    this.#events = events;
  }

  get underruns(): number {
    return this.#speaker.underruns ?? 0;
  }

  get aheadMs(): number {
    return this.#speaker.aheadMs ?? 0;
  }

  play(text: string, speech: Speech): Playback {
    const { began, ended } = this.#events;
    const playback = this.#speaker.play(text, speech);
    if (began) {
      void playback.started.then((startMs) => {
        if (startMs !== null) began(speech, startMs);
      });
    }
    playback.finished.then(
      (played) => ended?.(played, speech),
      () => {
        // Whoever plays hears of a broken output from `finished` itself.
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
