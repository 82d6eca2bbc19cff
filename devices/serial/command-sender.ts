import { encodeFrame } from "./frame.ts";
import { type AckResult, type CommandArgs, frameOfHost, type HostMessage } from "./messages.ts";

/** Commands that wait for their turn, one for each name: a newer one takes the place of an older. */
const WAITING_CAPACITY = 16;
/** A frame is sent so often at most, the first time included. */
const MAX_SENDS = 4;

/** A command that may be in force until its deadline. */
export interface Command {
  name: string;
  args: CommandArgs;
  /** Session time, ms. */
  deadlineMs: number;
}

/** What became of a command that the board did not carry out. */
export interface CommandFault {
  name: string;
  reason: "expired" | "refused" | "unacknowledged";
  detail: string;
}

export interface CommandListener {
  /** The board has carried out a command of this name. */
  done(name: string): void;
  fault(fault: CommandFault): void;
}

/** What has become of commands. */
export interface CommandCounters {
  /** Commands that the board carried out. */
  done: number;
  expired: number;
  refused: number;
  unacknowledged: number;
  /** Commands that gave way to a newer one of the same name before they were sent. */
  superseded: number;
  /** Frames sent again because no answer came. */
  retries: number;
}

export interface CommandSenderOptions {
  /** How long an answer is waited for each time, ms. */
  retryMs: number;
  listener: CommandListener;
  /** Added to. */
  counters: CommandCounters;
  /** Numbers the next frame that wants an answer. */
  nextSeq: () => number;
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
 * The commands on their way to a board: one is under way at a time, sent again a bounded number of times until it is
 * answered or its time is over; a stop goes before everything.
 */
export class CommandSender {
  readonly #options: CommandSenderOptions;
  readonly #waiting = new Map<string, Command>();
  #stopWanted = false;
  #outstanding: Outstanding | null = null;

  constructor(options: CommandSenderOptions) {
    this.#options = options;
  }

  /** True when all is sent and answered. */
  get idle(): boolean {
    return this.#outstanding === null && !this.#stopWanted && this.#waiting.size === 0;
  }

  /** Queues a command, if it can be sent at all. */
  add(command: Command): void {
    const { name, args } = command;
    const refusal = this.#refusalOf(command);
    if (refusal !== null) {
      this.refuse(command, refusal);
      return;
    }
    if (this.#waiting.delete(name)) this.#options.counters.superseded++;
    this.#waiting.set(name, { ...command, args: { ...args } });
  }

  refuse(command: Command, detail: string): void {
    this.#fault(command, "refused", detail);
  }

  /** Puts a stop before all that waits. */
  stop(): void {
    this.#stopWanted = true;
  }

  /** Lets time go by: expires what is too late, gives up what is not answered. */
  tick(nowMs: number): void {
    for (const command of [...this.#waiting.values()]) {
      if (command.deadlineMs > nowMs) continue;
      this.#waiting.delete(command.name);
      this.#fault(command, "expired", "its time was over before it could be sent");
    }
    this.#giveUpOutstanding(nowMs);
  }

  /** The next frame to write, or null. @param boardOffsetMs board time minus session time, ms. */
  next(nowMs: number, boardOffsetMs: number): Uint8Array | null {
    return this.#outstanding
      ? this.#nextRetry(this.#outstanding, nowMs)
      : this.#nextNew(nowMs, boardOffsetMs);
  }

  /** The board has answered the frame of this number. */
  settle(seq: number, result: AckResult): void {
    const outstanding = this.#outstanding;
    // An answer to a frame that was sent twice comes twice.
    if (outstanding === null || outstanding.seq !== seq) return;
    this.#outstanding = null;
    if (outstanding.command === null) return;
    const { command } = outstanding;
    if (result === "ok") {
      this.#options.counters.done++;
      this.#options.listener.done(command.name);
    } else if (result === "expired") this.#fault(command, "expired", "it reached the board too late");
    else this.#fault(command, "refused", REFUSALS[result]);
  }

  expireAll(detail: string): void {
    const commands = [this.#outstanding?.command, ...this.#waiting.values()];
    this.#outstanding = null;
    this.#waiting.clear();
    for (const command of commands) if (command) this.#fault(command, "expired", detail);
  }

  #nextRetry(outstanding: Outstanding, nowMs: number): Uint8Array | null {
    if (nowMs - outstanding.sentMs < this.#options.retryMs || outstanding.sends >= MAX_SENDS) return null;
    this.#options.counters.retries++;
    return this.#send(outstanding, nowMs);
  }

  #nextNew(nowMs: number, boardOffsetMs: number): Uint8Array | null {
    if (this.#stopWanted) {
      this.#stopWanted = false;
      const seq = this.#options.nextSeq();
      return this.#send({ message: { kind: "stop", seq }, seq, command: null, sends: 0, sentMs: 0 }, nowMs);
    }
    const command = this.#waiting.values().next().value;
    if (command === undefined) return null;
    this.#waiting.delete(command.name);
    const seq = this.#options.nextSeq();
    const { name, args, deadlineMs } = command;
    const boardMs = Math.floor(deadlineMs + boardOffsetMs) >>> 0;
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
    const { retryMs } = this.#options;
    const unanswered = outstanding.sends >= MAX_SENDS && nowMs - outstanding.sentMs >= retryMs;
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

  #fault(command: Command, reason: CommandFault["reason"], detail: string): void {
    this.#options.counters[reason]++;
    this.#options.listener.fault({ name: command.name, reason, detail });
  }
}

const REFUSALS: Record<Exclude<AckResult, "ok" | "expired">, string> = {
  unknown: "the board knows no such command",
  range: "the board does not allow these values",
  stopped: "the board has stopped",
};
