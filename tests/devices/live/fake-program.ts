import type { RunningProgram } from "../../../devices/media/child.ts";
import type { Clock } from "../../../src/core/clock.ts";

/** A program that needs no process: writes what a generator gives until it is killed. */
export class FakeProgram implements RunningProgram {
  readonly stdout: AsyncIterable<Buffer>;
  readonly stdin: RunningProgram["stdin"];
  readonly ended: Promise<number | null>;
  lastComplaint = "";
  readonly #killed = new AbortController();
  #end: (status: number | null) => void = () => {};

  /**
   * @param output is given a signal that aborts when the program is killed.
   * @param taken what is written to its stdin goes here; without it the program is not fed.
   */
  constructor(output: (killed: AbortSignal) => AsyncIterable<Buffer>, taken?: (bytes: Buffer) => void) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.stdout = this.#running(output(this.#killed.signal));
    this.stdin = taken
      ? {
          writableLength: 0,
          write: (bytes: Buffer) => {
            if (!this.#killed.signal.aborted) taken(bytes);
            return true;
          },
        }
      : null;
  }

  kill(complaint = ""): void {
    if (this.#killed.signal.aborted) return;
    this.lastComplaint = complaint;
    this.#killed.abort();
    this.#end(null);
  }

  async *#running(output: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    try {
      for await (const bytes of output) {
        if (this.#killed.signal.aborted) return;
        yield bytes;
      }
      this.#end(0);
    } catch (fault) {
      if (!this.#killed.signal.aborted) throw fault;
    }
  }
}

export interface FakeCapture {
  clock: Clock;
  /** By the device's own clock. */
  sampleRateHz: number;
  chunkMs: number;
  /** By how much the device's clock is slow, parts per million. */
  driftPpm: number;
  /** How late the next chunk comes, ms. */
  lateMs: () => number;
  /** The sound at session time `ms`, in [-1, 1]. */
  soundAt: (ms: number) => number;
  /** The device begins now; by default. */
  fromMs?: number;
}

/** What a recording program writes whose device hears `soundAt`, sample by sample at the device's own rate. */
export async function* captured(options: FakeCapture, killed: AbortSignal): AsyncGenerator<Buffer> {
  const { clock, sampleRateHz, chunkMs, driftPpm, lateMs, soundAt } = options;
  const count = Math.round((chunkMs / 1000) * sampleRateHz);
  const periodMs = (1000 / sampleRateHz) * (1 + driftPpm / 1e6);
  const fromMs = options.fromMs ?? clock.nowMs();
  let readyMs = fromMs;
  // Before the session begins its clock stands, and a device gives something all the same.
  if (fromMs === 0) yield Buffer.alloc(2 * count);
  for (let n = 0; !killed.aborted; n += count) {
    const chunk = Buffer.alloc(2 * count);
    for (let i = 0; i < count; i++) {
      chunk.writeInt16LE(Math.round(32_767 * soundAt(fromMs + (n + i) * periodMs)), 2 * i);
    }
    // A pipe keeps the order: a late chunk holds up those behind it.
    readyMs = Math.max(readyMs, fromMs + (n + count) * periodMs + lateMs());
    await clock.sleepUntil(readyMs, killed);
    yield chunk;
  }
}
