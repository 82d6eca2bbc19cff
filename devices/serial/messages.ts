import type { Frame } from "./frame.ts";

/** The protocol that both ends must speak; deploy/firmware/README.md is its definition. */
export const PROTOCOL_VERSION = 1;

/** Values of a command by argument. */
export type CommandArgs = Readonly<Record<string, number>>;

/**
 * What the host says. Times are of the board's own clock: milliseconds modulo 2^32, as it told them in its heartbeats;
 * so what was delayed on the way counts as late, and no clocks need to agree.
 */
export type HostMessage =
  | { kind: "open"; seq: number; nonce: number; timeoutMs: number }
  /** The answer to the board's heartbeat of this number, which said this time. */
  | { kind: "heartbeat"; seq: number; boardMs: number }
  /** In force until `deadlineMs` at the longest. */
  | { kind: "command"; seq: number; deadlineMs: number; name: string; args: CommandArgs }
  | { kind: "stop"; seq: number };

/** What the board made of a command. */
export type AckResult = "ok" | "expired" | "unknown" | "range" | "stopped";

export type BoardMessage =
  /** The answer to the `open` of this number and nonce. `timeoutMs`: the heartbeat that the board will hold to. */
  | {
      kind: "ready";
      seq: number;
      nonce: number;
      boardMs: number;
      timeoutMs: number;
      version: number;
      name: string;
    }
  | { kind: "heartbeat"; seq: number; boardMs: number; state: "live" | "stopped" }
  | { kind: "ack"; seq: number; result: AckResult }
  | { kind: "line"; seq: number; text: string };

const ACK_RESULTS: readonly string[] = ["ok", "expired", "unknown", "range", "stopped"];
const U32 = "(\\d{1,10})";
const PAYLOADS = {
  open: new RegExp(`^${U32} (\\d{1,5})$`),
  hostHeartbeat: new RegExp(`^${U32}$`),
  command: new RegExp(
    `^${U32} ([a-z][a-z0-9_-]{0,15})((?: [a-z][a-z0-9_-]{0,15}=-?\\d{1,9}(?:\\.\\d{1,4})?)*)$`,
  ),
  ready: new RegExp(`^${U32} ${U32} (\\d{1,5}) (\\d{1,3}) (\\S.*)$`),
  boardHeartbeat: new RegExp(`^${U32} (live|stopped)$`),
};

export function frameOfHost(message: HostMessage): Frame {
  const { seq } = message;
  switch (message.kind) {
    case "open":
      return { kind: "o", seq, payload: `${message.nonce} ${message.timeoutMs}` };
    case "heartbeat":
      return { kind: "h", seq, payload: `${message.boardMs}` };
    case "command": {
      const args = Object.entries(message.args).map(([name, value]) => `${name}=${decimal(value)}`);
      return { kind: "c", seq, payload: [message.deadlineMs, message.name, ...args].join(" ") };
    }
    case "stop":
      return { kind: "s", seq, payload: "" };
  }
}

export function frameOfBoard(message: BoardMessage): Frame {
  const { seq } = message;
  switch (message.kind) {
    case "ready": {
      const { nonce, boardMs, timeoutMs, version, name } = message;
      return { kind: "r", seq, payload: `${nonce} ${boardMs} ${timeoutMs} ${version} ${name}` };
    }
    case "heartbeat":
      return { kind: "h", seq, payload: `${message.boardMs} ${message.state}` };
    case "ack":
      return { kind: "a", seq, payload: message.result };
    case "line":
      return { kind: "l", seq, payload: message.text };
  }
}

/** What a frame from the host says; null if it says nothing that is known. */
export function hostMessageOf({ kind, seq, payload }: Frame): HostMessage | null {
  switch (kind) {
    case "o": {
      const [, nonce, timeoutMs] = PAYLOADS.open.exec(payload) ?? [];
      return nonce === undefined
        ? null
        : { kind: "open", seq, nonce: Number(nonce), timeoutMs: Number(timeoutMs) };
    }
    case "h": {
      const [, boardMs] = PAYLOADS.hostHeartbeat.exec(payload) ?? [];
      return boardMs === undefined ? null : { kind: "heartbeat", seq, boardMs: Number(boardMs) };
    }
    case "c": {
      const [, deadlineMs, name, pairs = ""] = PAYLOADS.command.exec(payload) ?? [];
      if (name === undefined) return null;
      const args = pairs.split(" ").flatMap((pair) => {
        const [key, value] = pair.split("=");
        return key === undefined || value === undefined ? [] : [[key, Number(value)] as const];
      });
      return { kind: "command", seq, deadlineMs: Number(deadlineMs), name, args: Object.fromEntries(args) };
    }
    case "s":
      return { kind: "stop", seq };
    default:
      return null;
  }
}

/** What a frame from the board says; null if it says nothing that is known. */
export function boardMessageOf({ kind, seq, payload }: Frame): BoardMessage | null {
  switch (kind) {
    case "r": {
      const [, nonce, boardMs, timeoutMs, version, name] = PAYLOADS.ready.exec(payload) ?? [];
      if (name === undefined) return null;
      const numbers = { nonce: Number(nonce), boardMs: Number(boardMs), timeoutMs: Number(timeoutMs) };
      return { kind: "ready", seq, ...numbers, version: Number(version), name };
    }
    case "h": {
      const [, boardMs, state] = PAYLOADS.boardHeartbeat.exec(payload) ?? [];
      if (boardMs === undefined) return null;
      return {
        kind: "heartbeat",
        seq,
        boardMs: Number(boardMs),
        state: state === "live" ? "live" : "stopped",
      };
    }
    case "a":
      return ACK_RESULTS.includes(payload) ? { kind: "ack", seq, result: payload as AckResult } : null;
    case "l":
      return payload === "" ? null : { kind: "line", seq, text: payload };
    default:
      return null;
  }
}

/** Four decimals, the most that a board must read. */
function decimal(value: number): string {
  return String(Math.round(value * 1e4) / 1e4);
}

/** a - b of two board times, ms: they count modulo 2^32. */
export function boardMsBetween(a: number, b: number): number {
  return (a - b) | 0;
}
