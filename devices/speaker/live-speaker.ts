import { type Clock, unlessAborted } from "../../src/core/clock.ts";
import type { Captured, Playback, Source, Speaker, Speech } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { type Log, stderrLog } from "../../src/core/log.ts";
import { BackOff } from "../media/back-off.ts";
import type { RunningProgram } from "../media/child.ts";
import { reasonOf } from "../media/live-source.ts";
import type { PlayerReport } from "../media/player-reports.ts";
import { toPcm16 } from "../media/wav.ts";
import { PlayQueue, TICK_MS } from "./play-queue.ts";

/** A player that has not ended by then has its device, ms: those that cannot have it say so and end. */
const SETTLE_MS = 400;
/** Sound that a player has not taken, ms: it hangs. */
const STUCK_MS = 2000;
/** Sound that is kept ready beside what a player holds, ms: it is looked after every 5 ms. */
const READY_MS = 10;

/** A device that holds so much more than it was asked to is told of. */
const LARGE = 1.5;

export interface LiveSpeakerOptions {
  /** "speaker pulse:default" */
  name: string;
  clock: Clock;
  /** Of what the program reads: 16-bit little-endian PCM, the same in every channel. */
  sampleRateHz: number;
  channels: number;
  /** Sound given to the program ahead of what sounds, ms. */
  bufferMs: number;
  /** Time from the first sample that a silent device is given until it sounds, ms. */
  startMs: number;
  /** True if the program says now and then how much it has played, or at which pace. */
  reports: boolean;
  /** Starts the program, fed by stdin; killed by the signal. `reported` takes its reports. */
  launch: (signal: AbortSignal, reported: (report: PlayerReport) => void) => RunningProgram;
  remedy: string;
  random?: () => number;
  log?: Log;
}

/**
 * A speaker that a program plays for, converted to the device's rate and channels. It holds no more than the buffer ahead
 * of what sounds, so that a flush is heard after the buffer and a fade of 10 ms. A program that ends is started again; what
 * it had not sounded is told as not heard, and so is what comes while there is none.
 *
 * When a sample sounds is measured where the program reports what it has played; where it reports only its pace, that is
 * measured; else it is reckoned from when it was written and the buffers that were asked for.
 */
export class LiveSpeaker implements Speaker {
  readonly name: string;
  readonly states: Source;
  readonly #options: LiveSpeakerOptions;
  #prepared: RunningProgram | null = null;
  #queue: PlayQueue | null = null;
  /** What the program at hand said that it holds, ms. */
  #holdsMs = 0;
  #underruns = 0;

  constructor(options: LiveSpeakerOptions) {
    this.name = options.name;
    this.#options = options;
    this.states = {
      name: options.name,
      kind: "events",
      recorded: false,
      prepare: (signal) => this.#prepare(signal),
      open: (_clock, signal) => this.#run(signal),
    };
  }

  /** How often the device ran dry in the middle of a phrase. */
  get underruns(): number {
    return this.#underruns + (this.#queue?.underruns ?? 0);
  }

  get drift(): number {
    return this.#queue?.drift ?? 0;
  }

  get aheadMs(): number {
    return this.#bufferMs + this.#options.startMs + TICK_MS;
  }

  /** Sound that may be under way: what was asked for, or what the program needs to be kept full, ms. */
  get #bufferMs(): number {
    return Math.max(this.#options.bufferMs, this.#holdsMs + READY_MS);
  }

  play(text: string, speech: Speech): Playback {
    if (this.#queue) return this.#queue.play(text, speech);
    const nowMs = this.#options.clock.nowMs();
    const unheard = { text, startMs: nowMs, endMs: nowMs, whole: false };
    return { started: Promise.resolve(null), finished: Promise.resolve(unheard) };
  }

  flush(): void {
    this.#queue?.flush();
  }

  async close(): Promise<void> {
    this.flush();
    await this.#queue?.drained();
  }

  discard(): Promise<void> {
    return this.close();
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const program = this.#launch(signal);
    let timer: NodeJS.Timeout | undefined;
    // Machine time: session time has not begun yet.
    const settled = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, SETTLE_MS);
    });
    const ended = program.ended.then(() => "ended" as const);
    const state = await Promise.race([ended, settled]).finally(() => clearTimeout(timer));
    signal.throwIfAborted();
    if (state === "ended") {
      const { name: part, remedy } = this.#options;
      throw new RuntimeError("device-unavailable", { part, problem: await reasonOf(program), remedy });
    }
    this.#prepared = program;
  }

  async *#run(signal: AbortSignal): AsyncGenerator<Captured> {
    const { clock, random } = this.#options;
    const backOff = new BackOff(random);
    let program = this.#prepared;
    let lostAtMs = program ? null : clock.nowMs();
    while (!signal.aborted) {
      const sinceMs = clock.nowMs();
      program ??= this.#launch(signal);
      if (lostAtMs === null || (await this.#settles(program, signal))) {
        this.#queue = this.#queueTo(program);
        if (lostAtMs !== null) {
          const awayMs = clock.nowMs() - lostAtMs;
          yield this.#event("ready", `back after ${(awayMs / 1000).toFixed(1)} s`);
          lostAtMs = null;
        }
      }
      const reason = await reasonOf(program).catch((fault: unknown) => (fault as Error).message);
      this.#underruns += this.#queue?.underruns ?? 0;
      this.#queue?.lose();
      this.#queue = null;
      program = null;
      if (signal.aborted) return;
      if (lostAtMs === null) {
        lostAtMs = clock.nowMs();
        yield this.#event("lost", reason);
      }
      const waitMs = backOff.afterMs(clock.nowMs() - sinceMs);
      await clock.sleepUntil(clock.nowMs() + waitMs, signal).catch(() => {});
    }
  }

  /** Before the program is fed there is no queue, and afterwards it is gone: reports of that time are nobody's. */
  #launch(signal: AbortSignal): RunningProgram {
    this.#holdsMs = 0;
    return this.#options.launch(signal, (report) => {
      if (report.kind === "holds") this.#holdsMs = report.holdsMs;
      else this.#queue?.report(report);
    });
  }

  /** True when the program still runs after a while. */
  async #settles(program: RunningProgram, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const waiting = new AbortController();
    const settled = clock.sleepUntil(clock.nowMs() + SETTLE_MS, waiting.signal).then(
      () => true,
      () => false,
    );
    const ended = program.ended.then(
      () => false,
      () => false,
    );
    const stays = await unlessAborted(Promise.race([settled, ended]), signal).catch(() => false);
    waiting.abort();
    return stays;
  }

  #queueTo(program: RunningProgram): PlayQueue {
    const { name, channels, sampleRateHz, bufferMs, log = stderrLog } = this.#options;
    if (this.#holdsMs > LARGE * bufferMs) {
      const held = `the device holds ${this.#holdsMs.toFixed(0)} ms, where ${bufferMs} were asked for`;
      log.write("warning", name, `${held}: a flush is heard so much later`);
    }
    const stuckBytes = (STUCK_MS / 1000) * sampleRateHz * channels * 2;
    return new PlayQueue({
      ...this.#options,
      bufferMs: this.#bufferMs,
      write: (samples) => {
        if (!program.stdin || program.stdin.writableLength > stuckBytes) program.kill();
        else program.stdin.write(interleaved(toPcm16(samples), channels));
      },
    });
  }

  #event(state: "ready" | "lost", detail: string): Captured {
    const timeMs = this.#options.clock.nowMs();
    const event = { kind: "device", timeMs, device: this.name, state, detail } as const;
    return { kind: "event", captureMs: timeMs, event };
  }
}

/** 16-bit mono as `channels` equal channels. */
function interleaved(mono: Buffer, channels: number): Buffer {
  if (channels === 1) return mono;
  const all = Buffer.alloc(mono.length * channels);
  for (let at = 0; at < mono.length; at += 2) {
    for (let channel = 0; channel < channels; channel++)
      mono.copy(all, at * channels + 2 * channel, at, at + 2);
  }
  return all;
}
