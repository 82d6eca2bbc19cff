import type { Clock } from "../../src/core/clock.ts";
import type { Captured } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { BackOff } from "./back-off.ts";
import type { RunningProgram } from "./child.ts";

/** A device that has given nothing for so long is started afresh, ms. */
const SILENT_MS = 2000;
/** A device may take so long before it gives its first, ms of machine time: session time has not begun yet. */
const PREPARE_MS = 10_000;

export interface LiveSourceOptions {
  /** Names the device in events and messages: "microphone pulse:default". */
  name: string;
  /** Starts the program; killed by the signal. */
  launch: (signal: AbortSignal) => RunningProgram | Promise<RunningProgram>;
  /** What the program's output means. Ends with it. */
  items: (output: AsyncIterable<Buffer>, clock: Clock) => AsyncIterable<Captured>;
  /** What a person can do where the device cannot be had. */
  remedy: string;
  /** For the back-off, uniform in [0, 1). */
  random?: () => number;
}

/** One run of a program whose first output is here. */
interface FirstRun {
  program: RunningProgram;
  output: AsyncIterable<Buffer>;
}

/**
 * The life of a device that a program stands for: started before the session, started again with back-off whenever it
 * ends or falls silent, with an event when it is lost and one when it is back.
 */
export class LiveSource {
  readonly #options: LiveSourceOptions;
  #first: FirstRun | null = null;

  constructor(options: LiveSourceOptions) {
    this.#options = options;
  }

  /** @throws RuntimeError "device-unavailable" or "missing-program". */
  async prepare(signal: AbortSignal): Promise<void> {
    const program = await this.#options.launch(signal);
    const output = program.stdout[Symbol.asyncIterator]();
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<"silent">((resolve) => {
      timer = setTimeout(resolve, PREPARE_MS, "silent");
    });
    const first = await Promise.race([output.next(), tooLong]).finally(() => clearTimeout(timer));
    if (first !== "silent" && !first.done) {
      this.#first = { program, output: resumed(first.value, output) };
      return;
    }
    program.kill();
    signal.throwIfAborted();
    const problem = first === "silent" ? "gives nothing" : await reasonOf(program);
    throw new RuntimeError("device-unavailable", {
      part: this.#options.name,
      problem,
      remedy: this.#options.remedy,
    });
  }

  async *items(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const { launch, random } = this.#options;
    const backOff = new BackOff(random);
    let run: FirstRun | null = this.#first;
    let lostAtMs: number | null = run ? null : clock.nowMs();
    this.#first = null;
    while (!signal.aborted) {
      const sinceMs = clock.nowMs();
      const program: RunningProgram = run?.program ?? (await launch(signal));
      const watch = new Watch(clock, program);
      let gaveMs = 0;
      for await (const item of this.#options.items(watch.over(run?.output ?? program.stdout), clock)) {
        if (lostAtMs !== null) {
          const awayMs = clock.nowMs() - lostAtMs;
          // In the place of the item that shows it, so that items stay in the order of their capture.
          const ready = this.#event(clock.nowMs(), "ready", `back after ${(awayMs / 1000).toFixed(1)} s`);
          yield { ...ready, captureMs: item.captureMs };
          lostAtMs = null;
        }
        gaveMs = clock.nowMs();
        yield item;
      }
      run = null;
      program.kill();
      if (signal.aborted) return;
      const reason = watch.silent ? `gave nothing for ${SILENT_MS / 1000} s` : await this.#reason(program);
      if (lostAtMs === null) {
        lostAtMs = clock.nowMs();
        yield this.#event(lostAtMs, "lost", reason);
      }
      const waitMs = backOff.afterMs(Math.max(0, gaveMs - sinceMs));
      await clock.sleepUntil(clock.nowMs() + waitMs, signal).catch(() => {});
    }
  }

  /** A program that is missing now was there when the session began: it is waited for like the device. */
  #reason(program: RunningProgram): Promise<string> {
    return reasonOf(program).catch((fault: unknown) => (fault as Error).message);
  }

  #event(timeMs: number, state: "ready" | "lost", detail: string): Captured {
    const event = { kind: "device", timeMs, device: this.#options.name, state, detail } as const;
    return { kind: "event", captureMs: timeMs, event };
  }
}

/** Why a program has ended. @throws RuntimeError "missing-program" if it never ran. */
export async function reasonOf(program: RunningProgram): Promise<string> {
  const status = await program.ended;
  if (program.lastComplaint !== "") return program.lastComplaint;
  return status === null ? "its program was killed" : `its program ended with status ${status}`;
}

/** Kills a program that gives nothing. */
class Watch {
  silent = false;
  readonly #clock: Clock;
  readonly #program: RunningProgram;

  constructor(clock: Clock, program: RunningProgram) {
    this.#clock = clock;
    this.#program = program;
  }

  async *over(output: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let heardMs = this.#clock.nowMs();
    const ended = new AbortController();
    const watching = (async () => {
      while (this.#clock.nowMs() - heardMs < SILENT_MS) {
        await this.#clock.sleepUntil(heardMs + SILENT_MS, ended.signal);
      }
      this.silent = true;
      this.#program.kill();
    })().catch(() => {
      // The output has ended: nothing is left to watch.
    });
    try {
      for await (const bytes of output) {
        heardMs = this.#clock.nowMs();
        yield bytes;
      }
    } finally {
      ended.abort();
      await watching;
    }
  }
}

async function* resumed(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}
