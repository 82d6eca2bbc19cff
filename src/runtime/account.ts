import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { InputEvent } from "../core/micro-turn.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "./events.ts";

/** What an event says beside when: the union without its time stamp. */
type Told<E = SessionEvent> = E extends SessionEvent ? Omit<E, "tMs" | "microTurn"> : never;

/** Tells the observers what happens in a session. An observer that throws is reported once and let go. */
export class Account {
  readonly #microTurnMs: number;
  readonly #log: Log;
  readonly #observers: Set<SessionObserver>;

  constructor(microTurnMs: number, observers: readonly SessionObserver[], log: Log) {
    this.#microTurnMs = microTurnMs;
    this.#observers = new Set(observers);
    this.#log = log;
  }

  /** @param tMs session time of what happened. */
  write(tMs: number, told: Told): void {
    const microTurn = Math.floor(tMs / this.#microTurnMs);
    const { kind, ...rest } = told;
    // The order of the keys is the order of the printed line.
    const event = { tMs, microTurn, kind, ...rest } as SessionEvent;
    this.#logNotable(event);
    this.#tell((observer) => observer.event?.(event));
  }

  noteStep(record: StepRecord): void {
    this.#tell((observer) => observer.step?.(record));
  }

  /** Passes on what the model is told of devices and of the reasoner. */
  noteInputs(events: readonly InputEvent[]): void {
    for (const event of events) {
      if (event.kind !== "device" && event.kind !== "reasoner") continue;
      const { timeMs, ...told } = event;
      this.write(timeMs, told);
    }
  }

  #tell(tell: (observer: SessionObserver) => void): void {
    for (const observer of this.#observers) {
      try {
        tell(observer);
      } catch (fault) {
        this.#observers.delete(observer);
        this.#log.write("error", "session observer", messageOf(fault));
      }
    }
  }

  #logNotable(event: SessionEvent): void {
    switch (event.kind) {
      case "late":
        this.#log.write(
          "debug",
          "session",
          `micro-turn ${event.microTurn}: late, ${event.stepMs.toFixed(1)} ms`,
        );
        break;
      case "degraded":
        this.#log.write("warning", "session", `${event.direction} the ladder: ${event.saving}`);
        break;
      case "vetoed":
        this.#log.write("warning", "policy", `${event.name} vetoed: ${event.reason}`);
        break;
      case "device":
        if (event.state === "lost") this.#log.write("warning", event.device, `lost. ${event.detail}`);
        break;
    }
  }
}
