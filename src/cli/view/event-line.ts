import type { SessionEvent } from "../../runtime/events.ts";
import { printable } from "./printable.ts";

/** Session time for people: "0:07.4", "12:30.0". */
export function clockText(tMs: number): string {
  const tenths = Math.floor(tMs / 100);
  const seconds = `${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  return `${Math.floor(tenths / 600)}:${seconds}`;
}

/** One event as a line for people, without a line break; null for what a person need not see. */
export function eventLine(event: SessionEvent): string | null {
  const line = (what: string, detail: string, tMs = event.tMs): string =>
    `${clockText(tMs).padStart(8)}  ${what.padEnd(8)} ${printable(detail)}`.trimEnd();
  switch (event.kind) {
    case "speech":
      return line("says", event.text);
    case "yield":
      return line("yields", event.text === "" ? "" : `(unsaid: ${event.text.trim()})`);
    case "text":
      return event.heardMs === undefined
        ? line("shows", event.text)
        : line("hears", event.text, event.heardMs);
    case "action":
      return line("does", `${event.name} ${JSON.stringify(event.args)}`);
    case "vetoed":
      return line("vetoed", `${event.name} ${JSON.stringify(event.args)}: ${event.reason}`);
    case "late":
      return line("late", `a step took ${event.stepMs.toFixed(0)} ms`);
    case "degraded":
      return line(event.direction === "down" ? "saves" : "recovers", event.saving);
    case "device":
      return line("device", `${event.device} ${event.state}${event.detail ? `: ${event.detail}` : ""}`);
    case "reasoner":
      return line("reasoner", `${event.state}${event.text ? `: ${event.text}` : ""}`);
    case "end":
      return null;
    default:
      return event satisfies never;
  }
}

/**
 * One event as the line of JSON that `--json` prints. Giving way is something the model does, so it is told as an
 * action; everything else is printed as it is.
 */
export function eventJson(event: SessionEvent): string {
  if (event.kind !== "yield") return JSON.stringify(event);
  const { tMs, microTurn, text } = event;
  return JSON.stringify({ tMs, microTurn, kind: "action", name: "yield", args: { unsaid: text } });
}
