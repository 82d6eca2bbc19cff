import type { InputEvent, ReasonerEvent } from "../../src/core/micro-turn.ts";
import { REASONER_DEVICE } from "../../src/core/reasoner.ts";

/** What the model reads of an event, after README "What is read"; empty for what it hears and sees for itself. */
export function toldText(event: InputEvent): string {
  switch (event.kind) {
    case "text":
      return event.text;
    case "serial":
      return event.line;
    case "reasoner":
      return reasonerText(event);
    case "device":
      if (event.device !== REASONER_DEVICE) return "";
      return event.state === "ready" ? "reasoner online" : "reasoner offline";
    case "played":
      return "";
    default:
      return event satisfies never;
  }
}

function reasonerText({ state, text, about, stale }: ReasonerEvent): string {
  switch (state) {
    case "result":
      return stale ? `reasoner late on ${about}: ${text}` : `reasoner: ${text}`;
    case "ask":
      return `reasoner asks: ${text}`;
    case "waiting":
      return `reasoner waits: ${text}`;
    case "failed":
      return `reasoner failed: ${text}`;
    case "refused":
      return `reasoner refused: ${text}`;
    case "accepted":
    case "progress":
    case "partial":
      return ""; // the result comes whole
    default:
      return state satisfies never;
  }
}
