/**
 * The session's only clock: monotonic milliseconds since the session began.
 * Everything that waits or stamps takes one; wall time appears only at a file or network boundary.
 */
export interface Clock {
  readonly kind: "real" | "virtual";
  /** Session time, ms. */
  nowMs(): number;
  /** Resolves when session time has reached `timeMs`; at once if it has passed. Rejects with the signal's reason. */
  sleepUntil(timeMs: number, signal?: AbortSignal): Promise<void>;
}
