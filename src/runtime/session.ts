import type { Clock } from "../core/clock.ts";
import type { Source, Speaker, Voice } from "../core/device.ts";
import type { Log } from "../core/log.ts";
import type { InteractionModel } from "../core/model.ts";
import type { SessionObserver, SessionSummary } from "./events.ts";

export interface SessionOptions {
  /** Not started: the session starts it when its sources are ready. */
  clock: Clock;
  /** Reset by the session; closed by the caller. */
  model: InteractionModel;
  /** At most one of kind audio and one of kind video; any number of kind events. */
  sources: readonly Source[];
  /** Closed by the caller. */
  voice: Voice;
  /** Closed by the session: finished when it ends well or is aborted, discarded when it fails. */
  speaker: Speaker;
  observers?: readonly SessionObserver[];
  /** The session ends here at the latest, ms. */
  durationMs?: number;
  /** When its recorded sources have ended the session goes on until nothing was said for this long, ms. Default 1000. */
  settleMs?: number;
  log?: Log;
}

/**
 * One session from first micro-turn to last: perceives, steps the model, plays what it says.
 * It ends when its recorded sources have ended and the last words have sounded, at `durationMs`, or on the signal.
 */
export class Session {
  readonly #options: SessionOptions;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Runs the session. Can be called once.
   * @param signal ends the session in good order, as when its sources end: the summary is still returned.
   * @throws RuntimeError of the part that failed: a recorded source, the model, the speaker.
   */
  run(_signal?: AbortSignal): Promise<SessionSummary> {
    throw new Error(`not yet wired: ${this.#options.speaker.name}`);
  }
}
