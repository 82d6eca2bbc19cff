import type { RawData, WebSocket } from "ws";
import { FrameQueue } from "./frames.ts";
import { CONTROL_RESTART, KIND } from "./messages.ts";
import type { SoundDecoder, SoundFaults } from "./sound.ts";

/** What comes from one client: frames of sound, and that it wants to begin anew. */
export class Inbox {
  readonly #socket: WebSocket;
  readonly #gone: AbortSignal;
  readonly #nowMs: () => number;
  #frames: FrameQueue | null = null;
  #wake: () => void = () => {};
  #restartAsked = false;
  #heardMs: number;
  #soundMs: number;
  #heldBack = 0;
  #earlyMessages = 0;
  #ignoredMessages = 0;

  /** @param gone aborted when the client has left or was told to go: nothing is taken in any more. */
  constructor(socket: WebSocket, gone: AbortSignal, nowMs: () => number) {
    this.#socket = socket;
    this.#gone = gone;
    this.#nowMs = nowMs;
    this.#heardMs = nowMs();
    this.#soundMs = this.#heardMs;
    gone.addEventListener("abort", () => this.#wake(), { once: true });
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    for (const sign of ["ping", "pong"]) {
      socket.on(sign, () => {
        this.#heardMs = nowMs();
      });
    }
  }

  /** How long the client has given no sign of life, ms. One that is held back cannot give any. */
  get deadMs(): number {
    if (this.#socket.isPaused) this.#heardMs = this.#nowMs();
    return this.#nowMs() - this.#heardMs;
  }

  /** How long it could have sent sound and has not, ms. */
  get idleMs(): number {
    if (this.#socket.isPaused || this.#frames === null) this.#soundMs = this.#nowMs();
    return this.#nowMs() - this.#soundMs;
  }

  /** What was odd, in numbers. */
  get account(): SoundFaults {
    return {
      heldBack: this.#heldBack,
      earlyMessages: this.#earlyMessages,
      ignoredMessages: this.#ignoredMessages,
      ...this.#frames?.faults,
    };
  }

  /** From now on sound is heard. */
  open(decoder: SoundDecoder): void {
    this.#soundMs = this.#nowMs();
    this.#frames = new FrameQueue(decoder);
  }

  /**
   * The next frame, as soon as there is one, or that the client wants to begin anew; null when it has gone.
   *
   * @returns (FRAME_SAMPLES) f32, valid until the next call.
   * @throws RuntimeError "invalid-media" for sound that can never be decoded.
   */
  async next(): Promise<Float32Array | "restart" | null> {
    while (!this.#gone.aborted && this.#frames !== null) {
      if (this.#restartAsked) {
        this.#restartAsked = false;
        return "restart";
      }
      // What arrives while the queue is looked through must not be missed.
      const arrival = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const frame = await this.#frames.next(this.#gone);
      if (this.#socket.isPaused && !this.#frames.full) this.#socket.resume();
      if (frame !== null) return frame;
      await arrival;
    }
    return null;
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#heardMs = this.#nowMs();
    if (this.#gone.aborted) return;
    // `ws` hands over one Buffer unless told otherwise.
    const bytes = data as Buffer;
    if (!isBinary || bytes.length === 0) this.#ignoredMessages++;
    else if (bytes[0] === KIND.audio) this.#hear(bytes.subarray(1));
    else if (bytes[0] === KIND.control && bytes[1] === CONTROL_RESTART) {
      this.#restartAsked = this.#frames !== null;
    } else if (bytes[0] !== KIND.ping) this.#ignoredMessages++;
    this.#wake();
  }

  #hear(payload: Buffer): void {
    if (this.#frames === null) {
      // Sound from before the handshake is of a time when nobody listened.
      this.#earlyMessages++;
      return;
    }
    this.#soundMs = this.#heardMs;
    this.#frames.push(payload);
    if (!this.#frames.full || this.#socket.isPaused) return;
    this.#heldBack++;
    this.#socket.pause();
  }
}
