import { ASK_PERSON, questionOf } from "../endpoint/ask-person.ts";
import type { CompletionPart, Endpoint, ToolCall } from "../endpoint/chat.ts";
import { EndpointError, type EndpointFault } from "../endpoint/fault.ts";
import type { FollowUp } from "../protocol/context.ts";
import { cleanText } from "../protocol/fields.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Control, Request, TaskError } from "../protocol/messages.ts";
import { Conversation } from "./conversation.ts";
import { GrowingText } from "./growing-text.ts";
import type { ReplyStream } from "./reply-stream.ts";

/** Completions of one task: each follow-up and each round of questions costs one. */
const MAX_COMPLETIONS = 64;

/** Why a task ends without a result. */
export class TaskFault extends Error {
  readonly code: TaskError;
  readonly retryable: boolean;

  constructor(
    code: TaskError,
    message: string,
    { retryable = false, cause }: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = "TaskFault";
    this.code = code;
    this.retryable = retryable;
  }
}

/** The generation under way is void: the person has said something new. */
const SAID_MORE = new Error("the person said more");

export interface TaskRunParts {
  request: Request;
  endpoint: Endpoint;
  replies: ReplyStream;
  leaseMs: number;
  /** When the device must know how it went, by `performance.now()`, ms. */
  endsMs: number;
  onText?: () => void;
  onRetry?: (fault: string, waitMs: number) => void;
}

/**
 * One execution: from `accepted` to the last reply.
 *
 * An amend, or an answer to a question that is not open, voids the generation under way: it is aborted and begun anew
 * with one more user message. Queueing it instead would let the device say a whole answer that the person has already
 * corrected, and a restart costs nothing on the device: the deltas begin again at offset 0.
 */
export class TaskRun {
  readonly request: Request;
  readonly #parts: TaskRunParts;
  readonly #conversation: Conversation;
  readonly #abort = new AbortController();
  /** Aborted with SAID_MORE, or with the reason of #abort; renewed for each completion or round of questions. */
  #round = new AbortController();
  /** The question that the person sees now. */
  #open: { ask: string; call: string; resolve: () => void } | null = null;
  #asked = 0;
  #over = false;

  constructor(parts: TaskRunParts) {
    this.request = parts.request;
    this.#parts = parts;
    this.#conversation = new Conversation(parts.request);
  }

  /** Runs to the last reply and resolves when the broker has it: null for a result, otherwise why there is none. Never rejects. */
  async run(): Promise<TaskFault | null> {
    const { replies, leaseMs, endsMs } = this.#parts;
    const timer = setTimeout(
      () => this.stop(new TaskFault("deadline", "the time for it is up")),
      Math.max(0, endsMs - performance.now()),
    );
    const sent = replies.ended.then(
      () => null,
      (cause: unknown) => {
        const fault = new TaskFault("internal", "the link refuses the replies", { cause });
        this.stop(fault);
        return fault;
      },
    );
    replies.accept(leaseMs);
    let fault: TaskFault | null = null;
    try {
      const text = await this.#converse();
      replies.finish({ kind: "result", text });
    } catch (error) {
      fault = faultOf(error);
      const message = cleanText(fault.message, LIMITS.chars.errorMessage) || fault.code;
      replies.finish({ kind: "error", code: fault.code, retryable: fault.retryable, message });
    } finally {
      this.#over = true;
      clearTimeout(timer);
    }
    return (await sent) ?? fault;
  }

  /** Ends it with an error; the first reason counts. */
  stop(fault: TaskFault): void {
    this.#abort.abort(fault);
    this.#round.abort(fault);
  }

  /** Ends it without a word: another execution has taken its place. */
  abandon(): void {
    this.stop(new TaskFault("cancelled", "another attempt has begun"));
    this.#parts.replies.close();
  }

  /** @returns false for a follow-up that does not come next, or too late: it is dropped, and the device sees it unconfirmed. */
  control(control: Control): boolean {
    if (this.#over) return false;
    if (control.kind === "cancel") {
      this.stop(new TaskFault("cancelled", `cancelled: ${control.reason}`));
      return true;
    }
    if (control.control !== this.#parts.replies.controls + 1) return false;
    this.#take(control);
    this.#parts.replies.took(control.control);
    return true;
  }

  #take(followUp: FollowUp): void {
    if (followUp.kind === "answer" && followUp.ask === this.#open?.ask) {
      const { call, resolve } = this.#open;
      this.#open = null;
      this.#conversation.answered(call, followUp.text);
      resolve();
      return;
    }
    this.#conversation.add(followUp);
    this.#round.abort(SAID_MORE);
  }

  async #converse(): Promise<string> {
    for (let completions = 0; completions < MAX_COMPLETIONS; completions++) {
      this.#abort.signal.throwIfAborted();
      this.#round = new AbortController();
      try {
        const { text, toolCalls } = await this.#complete(this.#round.signal);
        this.#round.signal.throwIfAborted();
        if (toolCalls.length === 0) {
          // From here on nothing is taken in: a result that confirmed an amend without heeding it would lose it.
          this.#over = true;
          return text;
        }
        this.#conversation.asked(text, toolCalls);
        for (const call of toolCalls) await this.#ask(call.id, questionOf(call), this.#round.signal);
      } catch (error) {
        if (error !== SAID_MORE) throw error;
      }
    }
    throw new TaskFault("refused", `no result after ${MAX_COMPLETIONS} completions`);
  }

  async #complete(signal: AbortSignal): Promise<{ text: string; toolCalls: readonly ToolCall[] }> {
    const { endpoint, replies, endsMs, onText, onRetry } = this.#parts;
    replies.restart();
    const growing = new GrowingText(LIMITS.chars.result);
    let end: Extract<CompletionPart, { kind: "end" }> | null = null;
    const request = {
      messages: [...this.#conversation.messages],
      tools: [ASK_PERSON],
      timeoutMs: Math.max(1, endsMs - performance.now()),
      signal,
      ...(onRetry ? { onRetry } : {}),
    };
    for await (const part of endpoint.complete(request)) {
      signal.throwIfAborted();
      if (part.kind === "end") {
        end = part;
        continue;
      }
      const text = growing.append(part.text);
      if (text === "") continue;
      onText?.();
      replies.append(text);
      if (growing.full) break;
    }
    signal.throwIfAborted();
    if (end?.finishReason === "content_filter")
      throw new TaskFault("refused", "the endpoint's content filter stopped it");
    const toolCalls = end?.toolCalls ?? [];
    if (toolCalls.length === 0 && growing.text.trim() === "") {
      throw new TaskFault("endpoint", "the endpoint gave an empty completion", { retryable: true });
    }
    return { text: growing.text, toolCalls };
  }

  async #ask(call: string, question: string, signal: AbortSignal): Promise<void> {
    const { replies, request } = this.#parts;
    // Unlike those of any other attempt: an answer finds the question it belongs to.
    const ask = `a${request.attempt}q${++this.#asked}`;
    try {
      await new Promise<void>((resolve, reject) => {
        signal.throwIfAborted();
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.#open = { ask, call, resolve };
        replies.ask(ask, cleanText(question, LIMITS.chars.ask) || "?");
      });
    } finally {
      this.#open = null;
      replies.answered();
    }
  }
}

/** Faults of a configuration or a stream that need not meet another worker, or another time. */
const WORKERS_TROUBLE: ReadonlySet<EndpointFault> = new Set<EndpointFault>([
  "unauthorized",
  "wrong-content-type",
  "malformed-chunk",
]);

/** What a device is told of whatever went wrong. */
function faultOf(error: unknown): TaskFault {
  if (error instanceof TaskFault) return error;
  if (error instanceof EndpointError) {
    if (error.fault === "deadline")
      return new TaskFault("deadline", "the time for it is up", { cause: error });
    const retryable = error.transient || WORKERS_TROUBLE.has(error.fault);
    return new TaskFault("endpoint", error.problem, { retryable, cause: error });
  }
  return new TaskFault("internal", "an unexpected fault of the worker", { retryable: true, cause: error });
}
