import { setTimeout as sleep } from "node:timers/promises";
import { type Backoff, backoffMs, retryAfterMs } from "../../core/backoff.ts";
import type { CompletionPart, CompletionRequest, Endpoint } from "./chat.ts";
import { CompletionReader, errorCode } from "./completion.ts";
import { eventStream, type StreamLimits } from "./event-stream.ts";
import { EndpointError } from "./fault.ts";
import { Watchdog } from "./watchdog.ts";

export interface EndpointConfig extends StreamLimits {
  /** What "/chat/completions" is appended to; its query is kept. */
  baseUrl: URL;
  model: string;
  /** Sent as a bearer token; null for an endpoint that wants none. */
  key: string | null;
  /**
   * From the request to the response's headers, connecting included, ms. Node bounds the connecting itself at 10 s,
   * and headers as well as idleness at 300 s.
   */
  firstByteMs: number;
  /** Between two pieces of the stream, ms. */
  idleMs: number;
  backoff: Backoff;
}

/** What may still come after the finish reason, such as token counts and "[DONE]", is waited for so long, ms. */
const TAIL_MS = 250;
/** Bytes of an error response that are looked at for its code. */
const MAX_ERROR_BYTES = 16_384;

export interface HttpEndpointParts {
  /** Uniform in [0, 1). */
  random?: () => number;
  wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** An OpenAI-compatible endpoint over HTTP: `POST {base}/chat/completions` with `stream: true`. */
export class HttpEndpoint implements Endpoint {
  readonly name: string;
  readonly #config: Omit<EndpointConfig, "key">;
  readonly #url: URL;
  /** Private, so that no inspection or JSON of this object shows the key. */
  readonly #headers: Readonly<Record<string, string>>;
  readonly #random: () => number;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<unknown>;

  constructor({ key, ...config }: EndpointConfig, parts: HttpEndpointParts = {}) {
    this.#config = config;
    this.#url = new URL(config.baseUrl);
    this.#url.pathname = `${config.baseUrl.pathname.replace(/\/+$/, "")}/chat/completions`;
    this.name = `${config.model} at ${this.#url.origin}${this.#url.pathname}`;
    this.#headers = {
      "content-type": "application/json",
      accept: "text/event-stream",
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    };
    this.#random = parts.random ?? Math.random;
    this.#wait = parts.wait ?? ((ms, signal) => sleep(ms, undefined, { signal }));
  }

  /**
   * Retries transient faults while nothing of the completion has been handed on: text that went out cannot be taken
   * back, so after it every fault is the caller's.
   */
  async *complete(request: CompletionRequest): AsyncGenerator<CompletionPart> {
    const { signal, onRetry } = request;
    const endsMs = performance.now() + request.timeoutMs;
    for (let failures = 1; ; failures++) {
      const leftMs = endsMs - performance.now();
      let begun = false;
      try {
        for await (const part of this.#attempt(request, leftMs)) {
          begun = true;
          yield part;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        const { backoff } = this.#config;
        if (!(error instanceof EndpointError) || !error.transient || begun) throw error;
        if (failures >= backoff.maxAttempts) throw error;
        const waitMs = backoffMs(backoff, failures, error.retryAfterMs, this.#random);
        // No use in waiting for an attempt that there is no time for: the caller can still tell the person.
        if (performance.now() + waitMs >= endsMs) throw error;
        onRetry?.(error.fault, waitMs);
        await this.#wait(waitMs, signal).catch((cause: unknown) => {
          signal.throwIfAborted();
          throw cause;
        });
      }
    }
  }

  async *#attempt(request: CompletionRequest, timeoutMs: number): AsyncGenerator<CompletionPart> {
    const watchdog = new Watchdog(request.signal, timeoutMs);
    try {
      const { firstByteMs } = this.#config;
      const body = await watchdog.within(
        firstByteMs,
        "first-byte-timeout",
        this.#open(request, watchdog.signal),
      );
      yield* this.#read(body, watchdog, request.signal);
    } finally {
      watchdog.release();
    }
  }

  async *#read(
    body: ReadableStream<Uint8Array>,
    watchdog: Watchdog,
    signal: AbortSignal,
  ): AsyncGenerator<CompletionPart> {
    const reader = new CompletionReader();
    let tailEndsMs = Number.POSITIVE_INFINITY;
    const guard = <T>(read: Promise<T>): Promise<T> => {
      const leftMs = Math.min(this.#config.idleMs, tailEndsMs - performance.now());
      return watchdog.within(Math.max(0, leftMs), "idle-timeout", read);
    };
    try {
      for await (const data of eventStream(body, this.#config, guard)) {
        if (performance.now() > tailEndsMs) break;
        if (data === "[DONE]") continue;
        const text = reader.take(data);
        if (text !== "") yield { kind: "text", text };
        if (reader.finished) tailEndsMs = Math.min(tailEndsMs, performance.now() + TAIL_MS);
      }
    } catch (error) {
      // What follows the finish reason adds nothing: a fault there does not spoil the completion.
      if (!reader.finished || signal.aborted) throw error;
    }
    yield reader.end();
  }

  async #open(request: CompletionRequest, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const response = await this.#fetch(request, signal);
    if (response.status !== 200) throw await refusal(response);
    const type = response.headers.get("content-type") ?? "none";
    if (!/^text\/event-stream\s*(;|$)/i.test(type) || response.body === null) {
      await discard(response);
      throw new EndpointError(
        "wrong-content-type",
        `content type ${mediaType(type)}, expected text/event-stream`,
      );
    }
    return response.body;
  }

  async #fetch(request: CompletionRequest, signal: AbortSignal): Promise<Response> {
    const { messages, tools } = request;
    const body = {
      model: this.#config.model,
      messages,
      stream: true,
      ...(tools.length > 0 ? { tools } : {}),
    };
    try {
      return await fetch(this.#url, {
        method: "POST",
        headers: this.#headers,
        body: JSON.stringify(body),
        // A redirected POST would become a GET, and the key must not follow to another host.
        redirect: "manual",
        signal,
      });
    } catch (cause) {
      signal.throwIfAborted();
      const detail = cause instanceof Error ? (cause.cause as NodeJS.ErrnoException | undefined) : undefined;
      throw new EndpointError("unreachable", detail?.code ?? detail?.message ?? "the connection failed", {
        cause,
      });
    }
  }
}

/** "text/html" of a header that may say anything. */
function mediaType(header: string): string {
  return /^[\w.+-]+\/[\w.+-]+/.exec(header)?.[0].slice(0, 80) ?? "none";
}

/** What a response that is not 200 means. */
async function refusal(response: Response): Promise<EndpointError> {
  const { status } = response;
  const code = await codeOf(response);
  const problem = `status ${status}${code === null ? "" : `, ${code}`}`;
  if (status === 401 || status === 403) return new EndpointError("unauthorized", problem);
  const options = { retryAfterMs: retryAfterMs(response.headers.get("retry-after"), Date.now()) };
  if (status === 429) return new EndpointError("rate-limited", problem, options);
  if (status >= 500 || status === 408 || status === 409)
    return new EndpointError("server-error", problem, options);
  return new EndpointError("rejected", problem);
}

/** The error code in the body, if it is small, whole and has one; otherwise the status has to say enough. */
async function codeOf(response: Response): Promise<string | null> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const bytes of response.body ?? []) {
      pieces.push(bytes);
      sizeBytes += bytes.byteLength;
      if (sizeBytes > MAX_ERROR_BYTES) return null;
    }
    return errorCode(JSON.parse(Buffer.concat(pieces).toString("utf8")));
  } catch {
    return null;
  }
}

async function discard(response: Response): Promise<void> {
  // It may have failed already, which is as good.
  await response.body?.cancel().catch(() => {});
}
