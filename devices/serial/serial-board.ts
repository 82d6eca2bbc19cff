import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../../src/core/clock.ts";
import type { Action, ActionSink, Captured, Source } from "../../src/core/device.ts";
import { messageOf } from "../../src/core/errors.ts";
import type { InputEvent } from "../../src/core/micro-turn.ts";
import type { CommandFault } from "./command-sender.ts";
import { HostLink, type HostLinkListener, type LinkCounters, noLinkCounts } from "./host-link.ts";
import type { OpenPort, Port } from "./port.ts";

/** Events that wait to be taken; beyond it the oldest sensor line goes, and is counted. */
const EVENT_CAPACITY = 256;
/** Waits between two attempts to open the port: doubled each time up to the limit, begun anew by a board that answers. */
const FIRST_RETRY_MS = 100;
const RETRY_LIMIT_MS = 2000;
/** How often a link is looked at, within a heartbeat. */
const TICKS_PER_HEARTBEAT = 10;
/** How long the end of a session waits for a board to confirm that it has stopped, within a heartbeat. */
const STOP_SHARE = 1 / 2;
const REST_POLL_MS = 5;

export interface SerialBoardOptions {
  /** For messages: the port's path. */
  port: string;
  open: OpenPort;
  /** 100 to 2000. The board stops, and is taken for lost, when nothing is heard for this long. */
  heartbeatMs: number;
  /** How long a command may be in force, counted from when the model chose it, ms. */
  commandMs: number;
  /** The commands that this board takes: those of the policy. */
  commands: readonly string[];
}

/** What a board's line has counted since the session began. */
export interface SerialCounters extends LinkCounters {
  /** Times that the board answered after its port was opened. */
  connects: number;
  droppedLines: number;
}

/**
 * A board on a serial port: its lines are events, actions become its commands. A port that is unplugged, blocked or
 * silent is opened again and again; meanwhile the session goes on, the model is told, and commands expire.
 */
export class SerialBoard implements Source, ActionSink {
  readonly kind = "events";
  readonly recorded = false;
  readonly name: string;
  readonly counters: SerialCounters = { connects: 0, ...noLinkCounts(), droppedLines: 0 };
  readonly #options: SerialBoardOptions;
  readonly #events: InputEvent[] = [];
  #wake: () => void = () => {};
  #clock: Clock | null = null;
  #connection: Connection | null = null;
  /** By command, what the model was last told of its failing. */
  readonly #toldFaults = new Map<string, string>();
  /** What the model was last told; null before the first word. */
  #told: "ready" | "lost" | null = null;

  constructor(options: SerialBoardOptions) {
    this.name = `serial ${options.port}`;
    this.#options = options;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    this.#clock = clock;
    const closing = new AbortController();
    const onAbort = () => {
      closing.abort();
      this.#wake();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const supervision = this.#supervise(clock, closing.signal);
    try {
      while (!closing.signal.aborted) {
        const event = this.#events.shift();
        if (event) yield { kind: "event", captureMs: event.timeMs, event };
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      closing.abort();
      await supervision;
    }
  }

  takes(name: string): boolean {
    return this.#options.commands.includes(name);
  }

  /** The values must be numbers, as the policy sees to. */
  act({ name, args }: Action): void {
    const numbers = Object.fromEntries(Object.entries(args).map(([key, value]) => [key, Number(value)]));
    if (!this.#connection || !this.#clock) {
      this.counters.refused++;
      this.#sayFault({ name, reason: "refused", detail: "the board is not connected" });
      return;
    }
    const deadlineMs = this.#clock.nowMs() + this.#options.commandMs;
    this.#connection.link.command({ name, args: numbers, deadlineMs });
    this.#connection.pump();
  }

  /** Opens the port, serves it until it is lost, and so on until the signal. */
  async #supervise(clock: Clock, signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      const connects = this.counters.connects;
      const detail = await this.#serve(clock, signal);
      if (signal.aborted) return;
      this.#tell("lost", detail);
      if (this.counters.connects > connects) retryMs = FIRST_RETRY_MS;
      await clock.sleepUntil(clock.nowMs() + retryMs, signal).catch(() => {});
      retryMs = Math.min(2 * retryMs, RETRY_LIMIT_MS);
    }
  }

  /** One opening of the port, from its beginning to its end. @returns why it ended. */
  async #serve(clock: Clock, signal: AbortSignal): Promise<string> {
    const { heartbeatMs } = this.#options;
    const over = new AbortController();
    let lost: string | null = null;
    const lose = (detail: string) => {
      lost ??= detail;
      over.abort();
    };
    const link = this.#link(clock, lose);
    let port: Port;
    try {
      port = await this.#options.open({
        onBytes: (bytes) => {
          link.receive(bytes, clock.nowMs());
          this.#connection?.pump();
        },
        onLost: lose,
      });
    } catch (cause) {
      return messageOf(cause);
    }
    const connection = new Connection(clock, link, port, lose);
    this.#connection = connection;
    const onAbort = () => over.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    while (!over.signal.aborted) {
      link.tick(clock.nowMs());
      connection.pump();
      await clock.sleepUntil(clock.nowMs() + heartbeatMs / TICKS_PER_HEARTBEAT, over.signal).catch(() => {});
    }
    signal.removeEventListener("abort", onAbort);
    if (lost === null) await connection.rest(heartbeatMs * STOP_SHARE);
    this.#connection = null;
    link.disconnect();
    await port.close();
    return lost ?? "closed";
  }

  #link(clock: Clock, lost: (detail: string) => void): HostLink {
    const listener: HostLinkListener = {
      ready: (board) => {
        this.counters.connects++;
        this.#tell("ready", board);
      },
      line: (line) => this.#push({ kind: "serial", timeMs: clock.nowMs(), line }),
      done: (name) => this.#toldFaults.delete(name),
      fault: (fault) => this.#sayFault(fault),
      lost,
    };
    const nonce = randomInt(2 ** 32);
    return new HostLink({ heartbeatMs: this.#options.heartbeatMs, nonce, listener }, this.counters);
  }

  /**
   * Tells the model what became of its command, as one more line; the same of the same command once, until one of its
   * name is carried out: a model that repeats itself into a dead line would have more to read in every micro-turn.
   */
  #sayFault({ name, reason, detail }: CommandFault): void {
    const line = `command ${name} ${reason}: ${detail}`;
    if (this.#toldFaults.get(name) === line) return;
    this.#toldFaults.set(name, line);
    this.#push({ kind: "serial", timeMs: this.#nowMs(), line });
  }

  #tell(state: "ready" | "lost", detail: string): void {
    if (state === this.#told) return;
    this.#told = state;
    this.#push({ kind: "device", timeMs: this.#nowMs(), device: this.name, state, detail });
  }

  #push(event: InputEvent): void {
    if (this.#events.length >= EVENT_CAPACITY) {
      const oldest = this.#events.findIndex(({ kind }) => kind === "serial");
      this.#events.splice(Math.max(0, oldest), 1);
      this.counters.droppedLines++;
    }
    this.#events.push(event);
    this.#wake();
  }

  #nowMs(): number {
    return this.#clock?.nowMs() ?? 0;
  }
}

/** Takes a link's frames to a port, one write at a time, so that a port that takes nothing holds up nothing else. */
class Connection {
  readonly link: HostLink;
  readonly #clock: Clock;
  readonly #port: Port;
  readonly #lose: (detail: string) => void;
  #writing = false;

  constructor(clock: Clock, link: HostLink, port: Port, lose: (detail: string) => void) {
    this.#clock = clock;
    this.link = link;
    this.#port = port;
    this.#lose = lose;
  }

  /** Has the board stop and waits for its answer, no longer than `limitMs` of the machine: session time may be over. */
  async rest(limitMs: number): Promise<void> {
    this.link.stop();
    for (let waitedMs = 0; !this.link.idle && waitedMs < limitMs; waitedMs += REST_POLL_MS) {
      this.link.tick(this.#clock.nowMs());
      this.pump();
      await delay(REST_POLL_MS);
    }
  }

  pump(): void {
    if (this.#writing) return;
    const bytes = this.link.next(this.#clock.nowMs());
    if (bytes === null) return;
    this.#writing = true;
    this.#port.write(bytes).then(
      () => {
        this.#writing = false;
        this.pump();
      },
      (cause: unknown) => this.#lose(messageOf(cause)),
    );
  }
}
