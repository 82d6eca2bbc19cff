import type { Backoff } from "../../../src/core/backoff.ts";
import { HttpEndpoint } from "../../../src/reasoner/endpoint/http-endpoint.ts";

/** The real client of a scripted endpoint, with limits that no test runs into. */
export function clientOf(
  baseUrl: URL,
  backoff: Backoff = { maxAttempts: 3, firstMs: 1, maxMs: 1 },
): HttpEndpoint {
  return new HttpEndpoint({
    baseUrl,
    model: "deep-thought",
    key: null,
    firstByteMs: 60_000,
    idleMs: 60_000,
    maxResponseBytes: 4_000_000,
    maxEventChars: 100_000,
    backoff,
  });
}
