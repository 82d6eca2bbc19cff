/** Retries of a request: full jitter over a doubling bound, so that workers that failed together do not return together. */
export interface Backoff {
  /** Attempts in all, the first included. */
  maxAttempts: number;
  /** Bound of the first wait, ms. */
  firstMs: number;
  /** Bound of every wait, ms. */
  maxMs: number;
}

/**
 * How long to wait before the next attempt, ms.
 *
 * @param failures     attempts that failed so far, from 1 up.
 * @param retryAfterMs what the endpoint asked for: the least that is waited.
 * @param random       uniform in [0, 1).
 */
export function backoffMs(
  { firstMs, maxMs }: Backoff,
  failures: number,
  retryAfterMs: number | null,
  random: () => number,
): number {
  const bound = Math.min(maxMs, firstMs * 2 ** (failures - 1));
  return (retryAfterMs ?? 0) + random() * bound;
}

/**
 * What a Retry-After header asks for, ms from now: seconds or an HTTP date (RFC 9110, section 10.2.3). Null where there is none or it says
 * neither.
 *
 * @param nowMs wall time, ms since 1970.
 */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  // Date.parse takes almost anything for a date.
  const date = /^[A-Z][a-z]+, .* GMT$/.test(header.trim()) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}
