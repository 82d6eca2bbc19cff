import { setTimeout as sleep } from "node:timers/promises";
import { type Backoff, backoffMs, retryAfterMs } from "../core/backoff.ts";
import { messageOf, RuntimeError } from "../core/errors.ts";

export interface HubOptions {
  /** Base address of the hub; `HF_ENDPOINT`. */
  endpoint: string;
  /** Access token; `HF_TOKEN`. Sent to the hub alone, never to where it redirects. */
  token?: string | undefined;
  backoff?: Backoff;
  /** Longest silence of the hub before a request counts as failed, ms. Default 30 s. */
  idleMs?: number;
}

export const HUB_ENDPOINT = "https://huggingface.co";

/** Longest wait that a hub may ask for, ms: past it a person should decide. */
const LONGEST_RETRY_AFTER_MS = 120_000;

/** A fault that another attempt may mend, with what the hub asked for in Retry-After. */
class Transient extends Error {
  readonly retryAfterMs: number | null;

  constructor(message: string, waitMs: number | null = null, cause?: unknown) {
    super(message, { cause });
    this.retryAfterMs = waitMs;
  }
}

/** A model hub that speaks the Hugging Face API. */
export class Hub {
  readonly endpoint: string;
  readonly #token: string | undefined;
  readonly #backoff: Backoff;
  readonly #idleMs: number;

  /** @throws RuntimeError "invalid-configuration" if the endpoint is no http or https address. */
  constructor({ endpoint, token, backoff, idleMs = 30_000 }: HubOptions) {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
    if (!url || !["http:", "https:"].includes(url.protocol)) {
      throw new RuntimeError("invalid-configuration", {
        part: "HF_ENDPOINT",
        problem: `'${endpoint}' is not an http or https address`,
      });
    }
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.#token = token === "" ? undefined : token;
    this.#backoff = backoff ?? { maxAttempts: 5, firstMs: 1000, maxMs: 30_000 };
    this.#idleMs = idleMs;
  }

  /**
   * Asks for a path below the endpoint and gives the answer to `read`, again and again while the fault may pass. An attempt after
   * which `progressed` says true counts as the first.
   *
   * @param read must be done with the body when it resolves; what it throws as RuntimeError is final.
   * @throws RuntimeError "endpoint-failed" when the attempts are used up, "invalid-configuration" for 401 and 403,
   *         "missing-file" for 404, the signal's reason when it is aborted.
   */
  async get<T>(
    path: string,
    read: (response: Response, alive: () => void) => Promise<T>,
    {
      signal,
      headers = () => ({}),
      progressed = () => false,
    }: { signal: AbortSignal; headers?: () => Record<string, string>; progressed?: () => boolean },
  ): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.#attempt(path, headers(), read, signal);
      } catch (fault) {
        signal.throwIfAborted();
        if (!(fault instanceof Transient)) throw fault;
        if (progressed()) failures = 1;
        if (failures >= this.#backoff.maxAttempts || (fault.retryAfterMs ?? 0) > LONGEST_RETRY_AFTER_MS) {
          throw new RuntimeError("endpoint-failed", {
            part: "model hub",
            problem: `${this.endpoint}/${path}: ${fault.message}`,
            remedy: "Run the command again: what has arrived is kept",
            cause: fault,
          });
        }
        const waitMs = backoffMs(this.#backoff, failures, fault.retryAfterMs, Math.random);
        await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  async #attempt<T>(
    path: string,
    headers: Record<string, string>,
    read: (response: Response, alive: () => void) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), this.#idleMs);
    try {
      // fetch itself drops the authorization where a redirect leaves the hub's origin.
      const response = await fetch(`${this.endpoint}/${path}`, {
        headers: {
          "accept-encoding": "identity",
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...headers,
        },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw this.#refusal(path, response);
      }
      return await read(response, () => timer.refresh());
    } catch (fault) {
      if (fault instanceof RuntimeError || fault instanceof Transient || signal.aborted) throw fault;
      const said = silence.signal.aborted
        ? `nothing came for ${this.#idleMs / 1000} s`
        : messageOf((fault as Error).cause ?? fault);
      throw new Transient(said, null, fault);
    } finally {
      clearTimeout(timer);
    }
  }

  #refusal(path: string, { status, headers }: Response): Error {
    if (status === 429 || status === 408 || status >= 500) {
      return new Transient(`answered with ${status}`, retryAfterMs(headers.get("retry-after"), Date.now()));
    }
    const part = "model hub";
    const problem = `${this.endpoint}/${path} answered with ${status}`;
    if (status === 401 || status === 403) {
      const remedy =
        this.#token === undefined
          ? "If the repository exists, it wants an account: accept its terms on its page, then set HF_TOKEN"
          : "Accept the terms on the repository's page, or check that HF_TOKEN may read it";
      return new RuntimeError("invalid-configuration", { part, problem, remedy });
    }
    if (status === 404) {
      const remedy = "Check the repository's name and revision";
      return new RuntimeError("missing-file", { part, problem, remedy });
    }
    return new RuntimeError("endpoint-failed", { part, problem });
  }
}

/** A body that is not what its head promised: worth another attempt. */
export function cutShort(problem: string): Error {
  return new Transient(problem);
}
