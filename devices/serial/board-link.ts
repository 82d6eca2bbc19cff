import { encodeFrame, FrameDecoder } from "./frame.ts";
import {
  type AckResult,
  type BoardMessage,
  boardMsBetween,
  type CommandArgs,
  frameOfBoard,
  type HostMessage,
  hostMessageOf,
  PROTOCOL_VERSION,
} from "./messages.ts";

/** Bounds of the heartbeat that a host may ask for, ms. */
const MIN_TIMEOUT_MS = 100;
const MAX_TIMEOUT_MS = 2000;
/** Longest time for which a command may ask to be in force, ms. */
export const MAX_HOLD_MS = 10_000;
/** Heartbeats of the board within the time that it waits for the host's. */
const BEATS_PER_TIMEOUT = 4;

/** Something that a command moves. */
export interface Actuator {
  name: string;
  /** Puts a command into force; false if the board does not allow its values, and then nothing has changed. */
  apply(args: CommandArgs): boolean;
  /** To its safe state: nothing moves. */
  rest(): void;
}

export interface BoardLinkOptions {
  name: string;
  actuators: readonly Actuator[];
  /** Owns the bytes. */
  write(bytes: Uint8Array): void;
}

/**
 * The board's end of the protocol, as deploy/firmware/microturn-board/microturn_link.h does it: a command is in force
 * until its deadline at the longest, and everything rests when no answer to a heartbeat has come for the agreed time.
 */
export class BoardLink {
  readonly #options: BoardLinkOptions;
  readonly #decoder = new FrameDecoder();
  /** Deadlines of the commands in force, board time, by actuator. */
  readonly #inForce = new Map<string, number>();
  #timeoutMs = 0;
  #nonce: number | null = null;
  /** Board time up to which the host is known to have heard us; null before the first `open`. */
  #hostHeardMs: number | null = null;
  #beatMs = 0;
  #live = false;
  #seq = 0;
  #lastCommand: { seq: number; result: AckResult } | null = null;

  constructor(options: BoardLinkOptions) {
    this.#options = options;
  }

  /** False: everything rests and commands are refused. */
  get live(): boolean {
    return this.#live;
  }

  /** Board time of the newest heartbeat that the host has answered; the board stops the heartbeat's time after it. */
  get hostHeardMs(): number | null {
    return this.#hostHeardMs;
  }

  get badFrames(): number {
    return this.#decoder.badFrames;
  }

  /** @param nowMs the board's clock: milliseconds modulo 2^32. */
  receive(bytes: Uint8Array, nowMs: number): void {
    for (const frame of this.#decoder.push(bytes)) {
      const message = hostMessageOf(frame);
      if (message) this.#hear(message, nowMs);
    }
  }

  /** Lets time go by: ends what is over, stops, beats. To be called every few milliseconds. */
  poll(nowMs: number): void {
    if (this.#hostHeardMs === null) return;
    this.#stopIfSilent(nowMs);
    for (const actuator of this.#options.actuators) {
      const deadlineMs = this.#inForce.get(actuator.name);
      if (deadlineMs === undefined || boardMsBetween(deadlineMs, nowMs) > 0) continue;
      this.#inForce.delete(actuator.name);
      actuator.rest();
    }
    if (boardMsBetween(nowMs, this.#beatMs) >= Math.floor(this.#timeoutMs / BEATS_PER_TIMEOUT))
      this.#beat(nowMs);
  }

  /** Sends what a sensor says; nothing before a host has opened the line. */
  line(text: string): void {
    if (this.#hostHeardMs !== null) this.#send({ kind: "line", seq: this.#nextSeq(), text });
  }

  #hear(message: HostMessage, nowMs: number): void {
    switch (message.kind) {
      case "open":
        this.#open(message, nowMs);
        break;
      case "heartbeat":
        this.#noteHost(message.boardMs, nowMs);
        break;
      case "command":
        this.#command(message, nowMs);
        break;
      case "stop":
        this.#restAll();
        this.#send({ kind: "ack", seq: message.seq, result: "ok" });
        break;
    }
  }

  #open({ seq, nonce, timeoutMs }: Extract<HostMessage, { kind: "open" }>, nowMs: number): void {
    // A host that has not heard our answer yet asks again; that must not undo what it has begun since.
    const again = nonce === this.#nonce;
    if (!again) {
      this.#restAll();
      this.#nonce = nonce;
      this.#timeoutMs = Math.min(Math.max(timeoutMs, MIN_TIMEOUT_MS), MAX_TIMEOUT_MS);
      this.#hostHeardMs = nowMs;
      this.#live = true;
      this.#lastCommand = null;
    }
    const version = PROTOCOL_VERSION;
    const { name } = this.#options;
    this.#send({ kind: "ready", seq, nonce, boardMs: nowMs, timeoutMs: this.#timeoutMs, version, name });
    if (!again) this.#beat(nowMs);
  }

  /** Only what we really said, and not longer ago than what we know already, shows that the host hears us. */
  #noteHost(boardMs: number, nowMs: number): void {
    if (this.#hostHeardMs === null) return;
    if (boardMsBetween(nowMs, boardMs) < 0 || boardMsBetween(boardMs, this.#hostHeardMs) < 0) return;
    this.#hostHeardMs = boardMs;
    if (!this.#isSilent(nowMs)) this.#live = true;
  }

  #command(command: Extract<HostMessage, { kind: "command" }>, nowMs: number): void {
    const { seq } = command;
    this.#stopIfSilent(nowMs);
    if (this.#lastCommand?.seq !== seq) this.#lastCommand = { seq, result: this.#execute(command, nowMs) };
    this.#send({ kind: "ack", seq, result: this.#lastCommand.result });
  }

  #execute({ deadlineMs, name, args }: Extract<HostMessage, { kind: "command" }>, nowMs: number): AckResult {
    const leftMs = boardMsBetween(deadlineMs, nowMs);
    const actuator = this.#options.actuators.find((candidate) => candidate.name === name);
    if (!this.#live) return "stopped";
    if (leftMs <= 0) return "expired";
    if (!actuator) return "unknown";
    if (leftMs > MAX_HOLD_MS || !actuator.apply(args)) return "range";
    this.#inForce.set(name, deadlineMs);
    return "ok";
  }

  #isSilent(nowMs: number): boolean {
    return this.#hostHeardMs === null || boardMsBetween(nowMs, this.#hostHeardMs) >= this.#timeoutMs;
  }

  #stopIfSilent(nowMs: number): void {
    if (!this.#live || !this.#isSilent(nowMs)) return;
    this.#live = false;
    this.#restAll();
  }

  #restAll(): void {
    this.#inForce.clear();
    for (const actuator of this.#options.actuators) actuator.rest();
  }

  #beat(nowMs: number): void {
    this.#beatMs = nowMs;
    this.#send({
      kind: "heartbeat",
      seq: this.#nextSeq(),
      boardMs: nowMs,
      state: this.#live ? "live" : "stopped",
    });
  }

  #nextSeq(): number {
    const seq = this.#seq;
    this.#seq = (seq + 1) & 0xffff;
    return seq;
  }

  #send(message: BoardMessage): void {
    this.#options.write(encodeFrame(frameOfBoard(message)));
  }
}
