import type { WebSocket } from "ws";
import { RuntimeError } from "../core/errors.ts";
import { Inbox } from "./inbox.ts";
import { errorMessage, HANDSHAKE, KIND, message, metadataMessage, PING, textMessage } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { ChatRequest } from "./query.ts";
import { type DuplexEngine, type DuplexSession, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ } from "./session.ts";
import { type SoundEncoder, soundCodec } from "./sound.ts";

/** Close codes of RFC 6455, section 7.4.1, and of its registry. */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  unsupportedData: 1003,
  policyViolation: 1008,
  internalError: 1011,
  tryAgainLater: 1013,
} as const;

/** A client that was told to go has this long to say goodbye, ms. */
const FAREWELL_MS = 1000;
/** The published web client gives up when it has heard nothing for 10 s. */
const PING_AFTER_SILENCE_MS = 4000;

export interface ClientOptions {
  request: ChatRequest;
  /** Monotonic, any origin, ms. */
  nowMs: () => number;
  /** A client that has shown no sign of life for so long, not even a pong, is let go, ms. */
  deadMs: number;
  /** The same for one that has the session and sends no sound. */
  idleMs: number;
  /** The same for one that takes nothing of what waits for it. */
  stalledMs: number;
  /** Told of what the client must not read: how a model failed. */
  failed: (error: unknown) => void;
}

/** What a session was, in numbers. */
export type ClientAccount = Readonly<Record<string, number>> & { readonly seconds: number };

/** One client, from its connection to its end: it waits for the session, has it, and is let go. */
export class Client {
  readonly #socket: WebSocket;
  readonly #options: ClientOptions;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #left = new AbortController();
  readonly #startMs: number;
  #talking = false;
  #reason = "the client left";
  #steps = 0;
  #lateSteps = 0;
  #restarts = 0;

  constructor(socket: WebSocket, options: ClientOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#inbox = new Inbox(socket, this.#left.signal, options.nowMs);
    this.#outbox = new Outbox(socket, options.nowMs);
    this.#startMs = options.nowMs();
    socket.on("close", () => this.#left.abort());
    // A close event follows, and there is nobody to tell of a client that breaks the rules of WebSockets or goes away.
    socket.on("error", () => {});
  }

  /** Aborted when the client has gone, or was told to go. */
  get gone(): AbortSignal {
    return this.#left.signal;
  }

  /** True from its goodbye on, which comes a moment before its end, and its end a step before the session's. */
  get isLeaving(): boolean {
    return this.gone.aborted || this.#socket.readyState !== this.#socket.OPEN;
  }

  /** Why it went. */
  get reason(): string {
    return this.#reason;
  }

  get account(): ClientAccount {
    return {
      seconds: Math.round((this.#options.nowMs() - this.#startMs) / 100) / 10,
      steps: this.#steps,
      lateSteps: this.#lateSteps,
      restarts: this.#restarts,
      droppedMessages: this.#outbox.dropped,
      ...this.#inbox.account,
    };
  }

  /**
   * Has the session until the client leaves or is let go, or the model fails. Settles when the session is closed, and
   * never rejects.
   */
  async converse(engine: DuplexEngine): Promise<void> {
    try {
      const { decoder, encoder } = await soundCodec(this.#options.request.format);
      try {
        const session = await engine.open(this.#options.request.options, this.gone);
        try {
          this.#inbox.open(decoder);
          this.#greet(engine, session);
          await this.#talk(session, encoder);
        } finally {
          await session.close();
        }
      } finally {
        encoder.close();
        decoder.close();
      }
      this.letGo(CLOSE.normal, "the session is over");
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#talking = false;
    }
  }

  /** Tells the client why, and ends the connection. */
  letGo(code: number, reason: string): void {
    if (this.gone.aborted) return;
    this.#reason = reason;
    if (code !== CLOSE.normal) this.#outbox.send(errorMessage(reason));
    this.#outbox.close(code, reason);
    // Its goodbye must get through even if its sound was held back.
    this.#socket.resume();
    setTimeout(() => this.#socket.terminate(), FAREWELL_MS).unref();
    this.#left.abort();
  }

  /** Looks after the connection; called every few seconds. */
  beat(): void {
    const { deadMs, idleMs, stalledMs } = this.#options;
    if (this.#inbox.deadMs > deadMs || this.#outbox.stalledMs > stalledMs) {
      this.#reason = this.#outbox.stalledMs > stalledMs ? "the client does not read" : "the client is silent";
      this.#socket.terminate();
      this.#left.abort();
    } else if (this.#inbox.idleMs > idleMs) {
      this.letGo(CLOSE.policyViolation, `no sound for ${Math.round(idleMs / 1000)} s`);
    } else if (this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.ping();
      if (this.#talking && this.#outbox.silentMs > PING_AFTER_SILENCE_MS) this.#outbox.send(PING);
    }
  }

  #greet(engine: DuplexEngine, { inEffect }: DuplexSession): void {
    const { format } = this.#options.request;
    this.#talking = true;
    this.#outbox.send(HANDSHAKE);
    const sound = { format, sampleRateHz: SAMPLE_RATE_HZ, frameSamples: FRAME_SAMPLES };
    this.#outbox.send(
      metadataMessage({ server: "microturn", model: engine.name, ...sound, options: inEffect }),
    );
  }

  async #talk(session: DuplexSession, encoder: SoundEncoder): Promise<void> {
    const { request, nowMs } = this.#options;
    while (this.#steps < (request.maxSteps ?? Number.POSITIVE_INFINITY)) {
      const frame = await this.#inbox.next();
      if (frame === null) return;
      if (frame === "restart") {
        await session.reset();
        this.#restarts++;
        continue;
      }
      const beginMs = nowMs();
      const { pcm, text } = await session.step(frame);
      this.#steps++;
      if (nowMs() - beginMs > FRAME_MS) this.#lateSteps++;
      if (pcm !== null) this.#outbox.send(message(KIND.audio, encoder.encode(pcm)));
      if (text !== "") this.#outbox.send(textMessage(text));
      // A model that answers at once must not keep the sockets from being read.
      await new Promise(setImmediate);
    }
  }

  #fail(error: unknown): void {
    // A prompt that was broken off because the client left.
    if (this.gone.aborted && error === this.gone.reason) return;
    if (error instanceof RuntimeError && error.code === "invalid-argument") {
      this.letGo(CLOSE.policyViolation, error.message);
    } else if (error instanceof RuntimeError && error.code === "invalid-media") {
      this.letGo(CLOSE.unsupportedData, error.message);
    } else {
      this.#options.failed(error);
      // What failed may name files of this machine: that is for its operator.
      this.letGo(CLOSE.internalError, "the model failed; the server's log says how");
    }
  }
}
