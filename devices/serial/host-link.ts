import { encodeFrame, FrameDecoder } from "./frame.ts";
import {
  type AckResult,
  type BoardMessage,
  boardMessageOf,
  type CommandArgs,
  frameOfHost,
  type HostMessage,
  PROTOCOL_VERSION,
} from "./messages.ts";

/** Commands that wait for their turn, one for each name: a newer one takes the place of an older. */
const WAITING_CAPACITY = 16;
/** A frame is sent so often at most, the first time included; its answer has this share of the heartbeat each time. */
const MAX_SENDS = 4;
const RETRY_SHARE = 1 / 5;
/** A board that boots when its port is opened answers after a second or two; one that does not is opened anew. */
const OPEN_PATIENCE_MS = 5000;
const OPEN_RETRY_MS = 250;

/** What became of a command that the board did not carry out. */
export interface CommandFault {
  name: string;
  reason: "expired" | "refused" | "unacknowledged";
  detail: string;
}

export interface HostLinkListener {
  /** The board has answered: commands reach it from now on. */
  ready(name: string): void;
  line(text: string): void;
  /** The board has carried out a command of this name. */
  done(name: string): void;
  fault(fault: CommandFault): void;
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
export interface LinkCounters {
  /** Commands that the board carried out. */
  done: number;
  expired: number;
  refused: number;
  unacknowledged: number;
  /** Commands that gave way to a newer one of the same name before they were sent. */
  superseded: number;
  /** Frames sent again because no answer came. */
  retries: number;
  /** Sensor lines and heartbeats that the numbering shows to be missing. */
  lostFrames: number;
  badFrames: number;
  noiseBytes: number;
}

interface Command {
  name: string;
  args: CommandArgs;
  /** Session time, ms. */
  deadlineMs: number;
}

/** A frame that wants an answer. */
interface Outstanding {
  message: HostMessage;
  seq: number;
  /** Null for a stop. */
  command: Command | null;
  sends: number;
  sentMs: number;
}

/**
 * The host's end of one opening of a port: a machine without clock or port of its own, driven by `receive`, `tick` and
 * `next`. One command is under way at a time; a stop goes before everything.
 */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #counters: LinkCounters;
  readonly #decoder = new FrameDecoder();
  readonly #waiting = new Map<string, Command>();
  readonly #retryMs: number;
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
  #stopWanted = false;
  #outstanding: Outstanding | null = null;

  /** @param counters added to. */
  constructor(options: HostLinkOptions, counters: LinkCounters) {
    this.#options = options;
    this.#counters = counters;
    this.#heartbeatMs = options.heartbeatMs;
    this.#retryMs = options.heartbeatMs * RETRY_SHARE;
    this.#seq = options.nonce & 0xffff;
  }

  /** True when all is sent and answered. */
  get idle(): boolean {
    return this.#outstanding === null && !this.#stopWanted && this.#waiting.size === 0;
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
    const { name, args } = command;
    const refusal = this.#refusalOf(command);
    if (refusal !== null) {
      this.#fault(command, "refused", refusal);
      return;
    }
    if (this.#waiting.delete(name)) this.#counters.superseded++;
    this.#waiting.set(name, { ...command, args: { ...args } });
  }

  /** Puts every actuator at rest, before all that waits; that expires. */
  stop(): void {
    this.#expireAll("a stop came first");
    if (this.#isReady) this.#stopWanted = true;
  }

  /** Lets time go by: expires what is too late and finds out that the board is silent. */
  tick(nowMs: number): void {
    this.#openedMs ??= nowMs;
    if (this.#isLost) return;
    for (const command of [...this.#waiting.values()]) {
      if (command.deadlineMs > nowMs) continue;
      this.#waiting.delete(command.name);
      this.#fault(command, "expired", "its time was over before it could be sent");
    }
    this.#giveUpOutstanding(nowMs);
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
    return this.#outstanding ? this.#nextRetry(this.#outstanding, nowMs) : this.#nextNew(nowMs);
  }

  /** The port is gone: what was under way expires. */
  disconnect(): void {
    this.#isLost = true;
    this.#expireAll("the board was lost");
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
        this.#settle(message.seq, message.result);
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

  #settle(seq: number, result: AckResult): void {
    const outstanding = this.#outstanding;
    // An answer to a frame that was sent twice comes twice.
    if (outstanding === null || outstanding.seq !== seq) return;
    this.#outstanding = null;
    if (outstanding.command === null) return;
    const { command } = outstanding;
    if (result === "ok") {
      this.#counters.done++;
      this.#options.listener.done(command.name);
    } else if (result === "expired") this.#fault(command, "expired", "it reached the board too late");
    else this.#fault(command, "refused", REFUSALS[result]);
  }

  #nextOpen(nowMs: number): Uint8Array | null {
    if (nowMs - this.#openSentMs < OPEN_RETRY_MS) return null;
    this.#openSentMs = nowMs;
    const { nonce, heartbeatMs } = this.#options;
    return encodeFrame(frameOfHost({ kind: "open", seq: this.#nextSeq(), nonce, timeoutMs: heartbeatMs }));
  }

  #nextRetry(outstanding: Outstanding, nowMs: number): Uint8Array | null {
    if (nowMs - outstanding.sentMs < this.#retryMs || outstanding.sends >= MAX_SENDS) return null;
    this.#counters.retries++;
    return this.#send(outstanding, nowMs);
  }

  #nextNew(nowMs: number): Uint8Array | null {
    const seq = this.#seq;
    if (this.#stopWanted) {
      this.#stopWanted = false;
      this.#nextSeq();
      return this.#send({ message: { kind: "stop", seq }, seq, command: null, sends: 0, sentMs: 0 }, nowMs);
    }
    const command = this.#waiting.values().next().value;
    if (command === undefined) return null;
    this.#waiting.delete(command.name);
    this.#nextSeq();
    const { name, args, deadlineMs } = command;
    const boardMs = Math.floor(deadlineMs + this.#boardOffsetMs) >>> 0;
    const message: HostMessage = { kind: "command", seq, deadlineMs: boardMs, name, args };
    return this.#send({ message, seq, command, sends: 0, sentMs: 0 }, nowMs);
  }

  #send(outstanding: Outstanding, nowMs: number): Uint8Array | null {
    this.#outstanding = { ...outstanding, sends: outstanding.sends + 1, sentMs: nowMs };
    return encodeFrame(frameOfHost(outstanding.message));
  }

  #giveUpOutstanding(nowMs: number): void {
    const outstanding = this.#outstanding;
    if (outstanding === null) return;
    const unanswered = outstanding.sends >= MAX_SENDS && nowMs - outstanding.sentMs >= this.#retryMs;
    if (outstanding.command === null) {
      // The heartbeat stops a board that cannot be told to.
      if (unanswered) this.#outstanding = null;
    } else if (outstanding.command.deadlineMs <= nowMs) {
      this.#outstanding = null;
      this.#fault(outstanding.command, "expired", "no answer came in time");
    } else if (unanswered) {
      this.#outstanding = null;
      this.#fault(outstanding.command, "unacknowledged", `sent ${MAX_SENDS} times without an answer`);
    }
  }

  #refusalOf({ name, args }: Command): string | null {
    if (!this.#isReady || this.#isLost) return "the board is not connected";
    const value = Object.values(args).find((candidate) => !(Math.abs(candidate) < 1e9));
    if (value !== undefined) return `${value} is no number that can be sent`;
    if (!this.#waiting.has(name) && this.#waiting.size >= WAITING_CAPACITY) return "too many commands wait";
    try {
      encodeFrame(frameOfHost({ kind: "command", seq: 0xffff, deadlineMs: 0xffff_ffff, name, args }));
      return null;
    } catch {
      return "it does not fit into a line";
    }
  }

  #expireAll(detail: string): void {
    const commands = [this.#outstanding?.command, ...this.#waiting.values()];
    this.#outstanding = null;
    this.#waiting.clear();
    for (const command of commands) if (command) this.#fault(command, "expired", detail);
  }

  #fault(command: Command, reason: CommandFault["reason"], detail: string): void {
    this.#counters[reason]++;
    this.#options.listener.fault({ name: command.name, reason, detail });
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

const REFUSALS: Record<Exclude<AckResult, "ok" | "expired">, string> = {
  unknown: "the board knows no such command",
  range: "the board does not allow these values",
  stopped: "the board has stopped",
};
