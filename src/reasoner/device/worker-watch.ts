import type { Link } from "../link/link.ts";
import { topicOf } from "../protocol/topics.ts";

/** Hears of the end of the workers that have a task in hand, and of no others. */
export class WorkerWatch {
  readonly #link: Link;
  readonly #failed: (fault: unknown) => void;
  /** Workers whose presence is subscribed to. */
  readonly #watched = new Set<string>();

  /** @param failed Called with a fault of the link; the subscription stands again when the link does. */
  constructor(link: Link, failed: (fault: unknown) => void) {
    this.#link = link;
    this.#failed = failed;
  }

  /** @param workers Those that are to be watched from now on. */
  follow(workers: ReadonlySet<string>): void {
    for (const worker of [...this.#watched].filter((name) => !workers.has(name))) {
      this.#watched.delete(worker);
      this.#link.unsubscribe(topicOf({ channel: "worker-presence", worker })).catch(this.#failed);
    }
    for (const worker of workers) {
      if (this.#watched.has(worker)) continue;
      this.#watched.add(worker);
      this.#link.subscribe(topicOf({ channel: "worker-presence", worker })).catch(this.#failed);
    }
  }
}
