import { RuntimeError } from "../../core/errors.ts";

/** Everything that can go wrong with one request to a chat-completions endpoint. */
export type EndpointFault =
  /** No connection: refused, no such name, reset, TLS. */
  | "unreachable"
  /** 401, 403: the key is missing or wrong. */
  | "unauthorized"
  /** 429. */
  | "rate-limited"
  /** 408, 409 or any 5xx. */
  | "server-error"
  /** Any other status that is not 200, redirects included. */
  | "rejected"
  /** 200, but not an event stream. */
  | "wrong-content-type"
  /** No response headers in time. */
  | "first-byte-timeout"
  /** The stream began and then stood still. */
  | "idle-timeout"
  /** The caller's time is up. */
  | "deadline"
  /** Not UTF-8, not JSON, or not a completion chunk. */
  | "malformed-chunk"
  /** More bytes than a completion may have, or one event larger than it may be. */
  | "too-large"
  /** The stream ended before a finish reason. */
  | "cut"
  /** An error object in place of a chunk. */
  | "stream-error"
  /** A call of a tool that was not offered, or with arguments that it does not take. */
  | "bad-tool-call";

/** Those that another attempt may mend, as long as nothing of the completion has been handed on. */
const TRANSIENT: ReadonlySet<EndpointFault> = new Set<EndpointFault>([
  "unreachable",
  "rate-limited",
  "server-error",
  "first-byte-timeout",
  "idle-timeout",
  "cut",
  "stream-error",
]);

/** Those that the operator has to mend: they will meet every task alike. */
const REMEDIES: Partial<Record<EndpointFault, string>> = {
  unauthorized: "Check MICROTURN_REASONER_KEY",
  rejected: "Check MICROTURN_REASONER_URL and MICROTURN_REASONER_MODEL",
  "wrong-content-type":
    "Check that MICROTURN_REASONER_URL is the base of an OpenAI-compatible API, often ending in /v1",
};

/**
 * A request that failed. The message names the fault, a status and machine-readable codes; never the endpoint's own
 * words, which may repeat the key or the prompt.
 */
export class EndpointError extends RuntimeError {
  readonly fault: EndpointFault;
  /** What the endpoint asked for in Retry-After, ms; null if it did not. */
  readonly retryAfterMs: number | null;

  constructor(
    fault: EndpointFault,
    problem: string,
    options: { retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    const remedy = REMEDIES[fault];
    super("endpoint-failed", {
      part: "reasoner endpoint",
      problem: `${fault}: ${problem}`,
      ...(remedy === undefined ? {} : { remedy }),
      cause: options.cause,
    });
    this.fault = fault;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** True if the same request may do better a little later. */
  get transient(): boolean {
    return TRANSIENT.has(this.fault);
  }
}
