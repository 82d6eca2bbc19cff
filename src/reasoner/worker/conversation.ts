import type { ChatMessage, ToolCall } from "../endpoint/chat.ts";
import type { FollowUp } from "../protocol/context.ts";
import type { Request } from "../protocol/messages.ts";
import { followUpText, NO_ANSWER, SYSTEM_PROMPT, taskMessage } from "./prompt.ts";

/** The chat of one attempt, as the endpoint sees it. */
export class Conversation {
  readonly #messages: ChatMessage[];
  /** Calls of the last completion that have no result yet: the format wants one for each before anything else. */
  #open: ToolCall[] = [];

  constructor(request: Request) {
    this.#messages = [{ role: "system", content: SYSTEM_PROMPT }, taskMessage(request)];
    for (const followUp of request.followUps) this.add(followUp);
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The questions that a completion ended with. */
  asked(text: string, toolCalls: readonly ToolCall[]): void {
    this.#messages.push({ role: "assistant", content: text === "" ? null : text, tool_calls: toolCalls });
    this.#open = [...toolCalls];
  }

  /** The answer to the call `id`. */
  answered(id: string, answer: string): void {
    this.#open = this.#open.filter((call) => call.id !== id);
    this.#messages.push({ role: "tool", tool_call_id: id, content: answer });
  }

  /** What the person says unasked. Questions that are still open count as passed over: it may well be about them. */
  add(followUp: FollowUp): void {
    for (const { id } of this.#open) this.answered(id, NO_ANSWER);
    this.#messages.push({ role: "user", content: followUpText(followUp) });
  }
}
