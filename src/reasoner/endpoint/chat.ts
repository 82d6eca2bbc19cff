/** The part of the chat-completions format that the reasoner writes: https://platform.openai.com/docs/api-reference/chat */

export interface ToolCall {
  id: string;
  type: "function";
  function: {
    name: string;
    /** JSON, as the model wrote it. */
    arguments: string;
  };
}

/** `url` is a data URL: stills travel in the request, nothing is fetched. */
export type ContentPart = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export type ChatMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: string | readonly ContentPart[] }
  | { role: "assistant"; content: string | null; tool_calls?: readonly ToolCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

/** A function that the model may call. `parameters` is a JSON Schema. */
export interface Tool {
  type: "function";
  function: { name: string; description: string; parameters: Record<string, unknown> };
}

/** What comes out of a completion, in order; "end" is the last. */
export type CompletionPart =
  | { kind: "text"; text: string }
  | {
      kind: "end";
      /** "stop", "length", "tool_calls", "content_filter", or what else the endpoint says. */
      finishReason: string;
      toolCalls: readonly ToolCall[];
    };

export interface CompletionRequest {
  messages: readonly ChatMessage[];
  tools: readonly Tool[];
  /** All the time there is for it, retries included, ms. */
  timeoutMs: number;
  /** Ends it at once; the iterable rejects with the signal's reason. */
  signal: AbortSignal;
  /** Called before the wait for another attempt. */
  onRetry?: (fault: string, waitMs: number) => void;
}

/** Something that completes chats. The worker knows no more of it. */
export interface Endpoint {
  /** For messages: origin, path and model; never the key. */
  readonly name: string;
  /** @throws EndpointError, or the signal's reason. */
  complete(request: CompletionRequest): AsyncIterable<CompletionPart>;
}
