import type { WebSocket } from "ws";

/**
 * Bytes that may wait in this process for a client to take them: a minute of Opus, five seconds of PCM. Past that,
 * messages are dropped and counted: the model goes on, and what the client missed is over anyway.
 */
const MAX_WAITING_BYTES = 262_144;
/** What a WebSocket frame can hold of a reason to close (RFC 6455, section 5.5: 125 bytes, 2 of them the code). */
const MAX_REASON_BYTES = 123;

/** What goes to one client. */
export class Outbox {
  readonly #socket: WebSocket;
  readonly #nowMs: () => number;
  #dropped = 0;
  #sentMs: number;
  /** Since when there has been no room; null while there is. */
  #fullSinceMs: number | null = null;

  constructor(socket: WebSocket, nowMs: () => number) {
    this.#socket = socket;
    this.#nowMs = nowMs;
    this.#sentMs = nowMs();
  }

  /** Messages that the client was too slow for. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How long the client has left no room, ms; 0 if there is some. */
  get stalledMs(): number {
    if (this.#socket.bufferedAmount < MAX_WAITING_BYTES) this.#fullSinceMs = null;
    return this.#fullSinceMs === null ? 0 : this.#nowMs() - this.#fullSinceMs;
  }

  /** How long nothing was sent, ms. */
  get silentMs(): number {
    return this.#nowMs() - this.#sentMs;
  }

  send(message: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount >= MAX_WAITING_BYTES) {
      this.#dropped++;
      this.#fullSinceMs ??= this.#nowMs();
      return;
    }
    this.#socket.send(message);
    this.#sentMs = this.#nowMs();
  }

  close(code: number, reason: string): void {
    let fitting = reason;
    while (Buffer.byteLength(fitting) > MAX_REASON_BYTES) fitting = fitting.slice(0, -1);
    this.#socket.close(code, fitting);
  }
}
