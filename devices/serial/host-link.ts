import { type Command, type CommandCounters, type CommandListener, CommandSender } from "./command-sender.ts";
import { encodeFrame, FrameDecoder } from "./frame.ts";
import { type BoardMessage, boardMessageOf, frameOfHost, PROTOCOL_VERSION } from "./messages.ts";

/** A frame's answer is waited for this share of the heartbeat each time. */
const RETRY_SHARE = 1 / 5;
/** A board that boots when its port is opened answers after a second or two; one that does not is opened anew. */
const OPEN_PATIENCE_MS = 5000;
const OPEN_RETRY_MS = 250;

export interface HostLinkListener extends CommandListener {
  /** The board has answered: commands reach it from now on. */
  ready(name: string): void;
  line(text: string): void;
  /** The board is silent or speaks otherwise: the port should be closed. Said once. */
  lost(detail: string): void;
}

export interface HostLinkOptions {
  /** The heartbeat: whoever hears nothing for this long takes the other for lost, ms. */
  heartbeatMs: number;
  /** Tells this session's opening from an older one's: any number of 32 bits. */
  nonce: number;
  listener: HostLinkListener;
}

/** What a link has counted since the board was first opened. */
export interface LinkCounters extends CommandCounters {
  /** Sensor lines and heartbeats that the numbering shows to be missing. */
  lostFrames: number;
  badFrames: number;
  noiseBytes: number;
}

/** The counters of a link that has not been opened yet. */
export function noLinkCounts(): LinkCounters {
  return {
    done: 0,
    expired: 0,
    refused: 0,
    unacknowledged: 0,
    superseded: 0,
    retries: 0,
    lostFrames: 0,
    badFrames: 0,
    noiseBytes: 0,
  };
}

/**
 * The host's end of one opening of a port: a machine without clock or port of its own, driven by `receive`, `tick` and
 * `next`: the opening, the heartbeat and the numbering. Commands are the sender's.
 */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #counters: LinkCounters;
  readonly #decoder = new FrameDecoder();
  readonly #commands: CommandSender;
  /** As the board will hold to: it may have bounds of its own. */
  #heartbeatMs: number;
  #seq: number;
  #openedMs: number | null = null;
  #openSentMs = Number.NEGATIVE_INFINITY;
  #isReady = false;
  #isLost = false;
  #heardMs = 0;
  /** The heartbeat still to be answered. */
  #beat: { seq: number; boardMs: number } | null = null;
  /** Board time minus session time as last heard. Late by what the line took, so deadlines come early, never late. */
  #boardOffsetMs = 0;
  #boardSeq: number | null = null;

  /** @param counters added to. */
  constructor(options: HostLinkOptions, counters: LinkCounters) {
    this.#options = options;
    this.#counters = counters;
    this.#heartbeatMs = options.heartbeatMs;
    this.#seq = options.nonce & 0xffff;
    this.#commands = new CommandSender({
      retryMs: options.heartbeatMs * RETRY_SHARE,
      listener: options.listener,
      counters,
      nextSeq: () => this.#nextSeq(),
    });
  }

  /** True when all is sent and answered. */
  get idle(): boolean {
    return this.#commands.idle;
  }

  receive(bytes: Uint8Array, nowMs: number): void {
    const { badFrames, noiseBytes } = this.#decoder;
    const frames = this.#decoder.push(bytes);
    this.#counters.badFrames += this.#decoder.badFrames - badFrames;
    this.#counters.noiseBytes += this.#decoder.noiseBytes - noiseBytes;
    for (const frame of frames) {
      const message = boardMessageOf(frame);
      if (message === null) this.#counters.badFrames++;
      else this.#hear(message, nowMs);
    }
  }

  /** Queues a command that may be in force until `deadlineMs`, session time. */
  command(command: Command): void {
    if (this.#isReady && !this.#isLost) this.#commands.add(command);
    else this.#commands.refuse(command, "the board is not connected");
  }

  /** Puts every actuator at rest, before all that waits; that expires. */
  stop(): void {
    this.#commands.expireAll("a stop came first");
    if (this.#isReady) this.#commands.stop();
  }

  /** Lets time go by: expires what is too late and finds out that the board is silent. */
  tick(nowMs: number): void {
    this.#openedMs ??= nowMs;
    if (this.#isLost) return;
    this.#commands.tick(nowMs);
    if (this.#isReady && nowMs - this.#heardMs >= this.#heartbeatMs) {
      this.#lose(`silent for ${this.#heartbeatMs} ms`);
    }
    if (!this.#isReady && nowMs - this.#openedMs >= OPEN_PATIENCE_MS) this.#lose("it does not answer");
  }

  /** The next frame to write, or null. To be asked when the port has taken the last one, and after every tick. */
  next(nowMs: number): Uint8Array | null {
    if (this.#isLost) return null;
    if (!this.#isReady) return this.#nextOpen(nowMs);
    if (this.#beat) {
      const beat = this.#beat;
      this.#beat = null;
      return encodeFrame(frameOfHost({ kind: "heartbeat", ...beat }));
    }
    return this.#commands.next(nowMs, this.#boardOffsetMs);
  }

  /** The port is gone: what was under way expires. */
  disconnect(): void {
    this.#isLost = true;
    this.#commands.expireAll("the board was lost");
  }

  #hear(message: BoardMessage, nowMs: number): void {
    if (this.#isLost) return;
    if (message.kind === "ready") this.#open(message, nowMs);
    // Before its answer to `open` a board may still speak to the session before.
    if (!this.#isReady) return;
    this.#heardMs = nowMs;
    switch (message.kind) {
      case "ready":
        break;
      case "heartbeat":
        this.#countGap(message.seq);
        this.#boardOffsetMs = message.boardMs - nowMs;
        this.#beat = { seq: message.seq, boardMs: message.boardMs };
        break;
      case "line":
        this.#countGap(message.seq);
        this.#options.listener.line(message.text);
        break;
      case "ack":
        this.#commands.settle(message.seq, message.result);
        break;
    }
  }

  #open(ready: Extract<BoardMessage, { kind: "ready" }>, nowMs: number): void {
    if (this.#isReady || ready.nonce !== this.#options.nonce) return;
    if (ready.version !== PROTOCOL_VERSION) {
      this.#lose(`it speaks version ${ready.version} of the protocol, expected ${PROTOCOL_VERSION}`);
      return;
    }
    this.#isReady = true;
    this.#heartbeatMs = ready.timeoutMs;
    this.#boardOffsetMs = ready.boardMs - nowMs;
    this.#options.listener.ready(ready.name);
  }

  #nextOpen(nowMs: number): Uint8Array | null {
    if (nowMs - this.#openSentMs < OPEN_RETRY_MS) return null;
    this.#openSentMs = nowMs;
    const { nonce, heartbeatMs } = this.#options;
    return encodeFrame(frameOfHost({ kind: "open", seq: this.#nextSeq(), nonce, timeoutMs: heartbeatMs }));
  }

  #lose(detail: string): void {
    this.disconnect();
    this.#options.listener.lost(detail);
  }

  /** Lines and heartbeats are numbered together. */
  #countGap(seq: number): void {
    if (this.#boardSeq !== null) this.#counters.lostFrames += (seq - this.#boardSeq - 1) & 0xffff;
    this.#boardSeq = seq;
  }

  #nextSeq(): number {
    const seq = this.#seq;
    this.#seq = (seq + 1) & 0xffff;
    return seq;
  }
}
