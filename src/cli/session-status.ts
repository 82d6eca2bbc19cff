import type { StatusLink } from "../reasoner/status/status-link.ts";
import type { SessionEvent, SessionObserver } from "../runtime/events.ts";

/** Tells dashboards, by way of the link, how a session is doing: numbers only, never what was said. */
export class SessionStatus implements SessionObserver {
  readonly #link: StatusLink;
  /** Open tasks, and whether somebody works on them. */
  readonly #tasks = new Map<string, "waiting" | "running">();
  #lateMicroTurns = 0;

  constructor(link: StatusLink) {
    this.#link = link;
  }

  event(event: SessionEvent): void {
    if (event.kind === "late") this.#lateMicroTurns++;
    if (event.kind === "reasoner") this.#noteTask(event.task, event.state);
    const states = [...this.#tasks.values()];
    this.#link.update({
      session: event.kind === "end" ? "idle" : "running",
      tasksWaiting: states.filter((state) => state === "waiting").length,
      tasksRunning: states.filter((state) => state === "running").length,
      lateMicroTurns: this.#lateMicroTurns,
    });
  }

  #noteTask(task: string, state: Extract<SessionEvent, { kind: "reasoner" }>["state"]): void {
    switch (state) {
      case "waiting":
        this.#tasks.set(task, "waiting");
        break;
      case "accepted":
      case "progress":
      case "partial":
      case "ask":
        this.#tasks.set(task, "running");
        break;
      case "result":
      case "failed":
        this.#tasks.delete(task);
        break;
      case "refused":
        // Something that was asked of a task: it may go on.
        break;
      default:
        state satisfies never;
    }
  }
}
