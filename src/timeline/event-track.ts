import type { InputEvent } from "../core/micro-turn.ts";

/** Events that may wait for their interval to close; beyond it the newest is refused and counted. */
const CAPACITY = 256;

/**
 * The events' line on the timeline. An event belongs to the interval of its time; one that is only known later, such as
 * what a speaker has played, comes with the first interval that closes after that. None is lost by being late.
 */
export class EventTrack {
  dropped = 0;
  /** In order of time; of the same time in order of arrival. */
  readonly #waiting: InputEvent[] = [];

  get waiting(): number {
    return this.#waiting.length;
  }

  write(event: InputEvent): void {
    if (this.#waiting.length >= CAPACITY) {
      this.dropped++;
      return;
    }
    let place = this.#waiting.length;
    while (place > 0 && this.#waiting[place - 1]!.timeMs > event.timeMs) place--;
    this.#waiting.splice(place, 0, event);
  }

  /** The events before `endMs`. */
  take(endMs: number): InputEvent[] {
    const count = this.#waiting.findIndex((event) => event.timeMs >= endMs);
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count);
  }
}
