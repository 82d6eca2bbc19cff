import { setTimeout as delay } from "node:timers/promises";
import { systemPort } from "../../../devices/serial/port.ts";
import { SerialBoard } from "../../../devices/serial/serial-board.ts";
import { RealClock } from "../../../src/core/clock.ts";
import type { InputEvent } from "../../../src/core/micro-turn.ts";

/** A SerialBoard on a real port, without a session: what it says is kept. */
export class Attached {
  readonly board: SerialBoard;
  readonly events: InputEvent[] = [];
  readonly #closing = new AbortController();
  readonly #drawn: Promise<void>;

  /** The slowest heartbeat that there is: a busy machine should not decide a test. */
  constructor(port: string, { heartbeatMs = 2000, commandMs = 10_000 } = {}) {
    const commands = ["drive", "light"];
    this.board = new SerialBoard({ port, open: systemPort(port, 115_200), heartbeatMs, commandMs, commands });
    const clock = new RealClock();
    clock.start();
    this.#drawn = this.#draw(clock);
  }

  get states(): string[] {
    return this.events.flatMap((event) => (event.kind === "device" ? [event.state] : []));
  }

  get lines(): string[] {
    return this.events.flatMap((event) => (event.kind === "serial" ? [event.line] : []));
  }

  drive(speed: number): void {
    this.board.act({ name: "drive", args: { speed } });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#drawn;
  }

  async #draw(clock: RealClock): Promise<void> {
    for await (const item of this.board.open(clock, this.#closing.signal)) {
      if (item.kind === "event") this.events.push(item.event);
    }
  }
}

/** Says it again until it is so: a command may be lost by a line that a busy machine has cut. */
export async function driveUntil(host: Attached, speed: number, holds: () => boolean): Promise<void> {
  while (!holds()) {
    host.drive(speed);
    await delay(25);
  }
}

/** Waits until something holds; the test's own limit is the only one. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}
