import { z } from "zod";
import type { CompletionPart, ToolCall } from "./chat.ts";
import { EndpointError } from "./fault.ts";

/** Calls that one completion may hold; the model has one tool. */
const MAX_TOOL_CALLS = 8;

const toolFragment = z.object({
  // Some endpoints leave it out where there is one call.
  index: z.number().int().min(0).nullish(),
  id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});

const chunkSchema = z.object({
  // Empty in the chunk that carries the token counts.
  choices: z.array(
    z.object({
      delta: z
        .object({ content: z.string().nullish(), tool_calls: z.array(toolFragment).nullish() })
        .nullish(),
      finish_reason: z.string().nullish(),
    }),
  ),
});

const errorSchema = z.object({
  error: z.union([z.object({ code: z.unknown().optional(), type: z.unknown().optional() }), z.string()]),
});

/** Codes and types that are safe to repeat: words, not sentences. */
function safeCode(value: unknown): string | null {
  return (typeof value === "string" || typeof value === "number") && /^[\w.-]{1,64}$/.test(String(value))
    ? String(value)
    : null;
}

/** "code rate_limit_exceeded" of an error object, as far as it names one; null if `data` is no error object. */
export function errorCode(data: unknown): string | null {
  const parsed = errorSchema.safeParse(data);
  if (!parsed.success) return null;
  const { error } = parsed.data;
  const code = typeof error === "string" ? null : (safeCode(error.code) ?? safeCode(error.type));
  return code === null ? "without a code" : `code ${code}`;
}

/** Puts one completion together from its chunks. */
export class CompletionReader {
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  #finishReason: string | null = null;

  /** True once the endpoint said how it ended: whatever comes after changes nothing. */
  get finished(): boolean {
    return this.#finishReason !== null;
  }

  /**
   * Takes the data of one server-sent event.
   * @returns the text in it, often empty.
   * @throws EndpointError "malformed-chunk", "stream-error" or "bad-tool-call".
   */
  take(data: string): string {
    let json: unknown;
    try {
      json = JSON.parse(data);
    } catch (cause) {
      throw new EndpointError("malformed-chunk", `an event of ${data.length} characters is not JSON`, {
        cause,
      });
    }
    const error = errorCode(json);
    if (error !== null) throw new EndpointError("stream-error", `the stream carries an error ${error}`);
    const parsed = chunkSchema.safeParse(json);
    if (!parsed.success) {
      const where = parsed.error.issues.map(({ path }) => path.join(".") || "chunk").join(", ");
      throw new EndpointError("malformed-chunk", `not a completion chunk at ${where}`);
    }
    const choice = parsed.data.choices[0];
    if (choice === undefined || this.finished) return "";
    for (const fragment of choice.delta?.tool_calls ?? []) this.#takeFragment(fragment);
    if (choice.finish_reason) this.#finishReason = choice.finish_reason;
    return choice.delta?.content ?? "";
  }

  /**
   * What the completion came to.
   * @throws EndpointError "cut" if the stream ended before a finish reason. "[DONE]" alone does not count: gateways
   * send it after an upstream failure too, and a truncated answer must not pass for a whole one.
   */
  end(): Extract<CompletionPart, { kind: "end" }> {
    if (this.#finishReason === null)
      throw new EndpointError("cut", "the stream ended before its finish reason");
    const toolCalls: ToolCall[] = this.#calls.map(({ id, name, arguments: text }, index) => ({
      id: id === "" ? `call_${index}` : id,
      type: "function",
      function: { name, arguments: text },
    }));
    return { kind: "end", finishReason: this.#finishReason, toolCalls };
  }

  #takeFragment({ index, id, function: part }: z.infer<typeof toolFragment>): void {
    const last = this.#calls.length - 1;
    // Without an index a new id begins a new call.
    const place = index ?? (last < 0 || (id && id !== this.#calls[last]!.id) ? last + 1 : last);
    if (place > last + 1 || place >= MAX_TOOL_CALLS) {
      throw new EndpointError("bad-tool-call", `tool call ${place} after ${last + 1} others`);
    }
    if (place === last + 1) this.#calls.push({ id: "", name: "", arguments: "" });
    const call = this.#calls[place]!;
    if (id) call.id = id;
    // Sent once, or with every fragment: never in pieces.
    if (part?.name) call.name = part.name;
    if (part?.arguments) call.arguments += part.arguments;
  }
}
