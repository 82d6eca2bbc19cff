import { z } from "zod";
import type { Tool, ToolCall } from "./chat.ts";
import { EndpointError } from "./fault.ts";

/** A question is spoken: longer ones are not understood. */
const MAX_QUESTION_CHARS = 1000;

/** The one tool: a question back to the person, whose answer becomes the tool's result. */
export const ASK_PERSON: Tool = {
  type: "function",
  function: {
    name: "ask_person",
    description:
      "Ask the person one short question that cannot be answered from the context, and wait for the spoken answer.",
    parameters: {
      type: "object",
      properties: { question: { type: "string", description: "One question, in words fit to be spoken." } },
      required: ["question"],
      additionalProperties: false,
    },
  },
};

const argumentsSchema = z.object({ question: z.string().trim().min(1).max(MAX_QUESTION_CHARS) });

/**
 * The question of one call.
 * @throws EndpointError "bad-tool-call" for another tool, or arguments that hold no question of at most 1000 characters.
 */
export function questionOf(call: ToolCall): string {
  if (call.function.name !== ASK_PERSON.function.name) {
    throw new EndpointError("bad-tool-call", "a tool was called that was not offered");
  }
  let data: unknown;
  try {
    data = JSON.parse(call.function.arguments);
  } catch (cause) {
    throw new EndpointError("bad-tool-call", "the arguments of ask_person are not JSON", { cause });
  }
  const parsed = argumentsSchema.safeParse(data);
  if (!parsed.success)
    throw new EndpointError("bad-tool-call", "ask_person was called without a usable question");
  return parsed.data.question;
}
