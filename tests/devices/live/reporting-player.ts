import type { PlayerReport } from "../../../devices/media/player-reports.ts";
import { LiveSpeaker } from "../../../devices/speaker/live-speaker.ts";
import type { VirtualClock } from "../../../src/core/clock.ts";
import { FakeProgram } from "./fake-program.ts";

const REPORT_EVERY_MS = 50;

export interface PlayerOptions {
  clock: VirtualClock;
  sampleRateHz: number;
  /** By how much the device's clock is slow, parts per million. */
  driftPpm: number;
  /** Time from the first sample that it is given until it sounds, ms. */
  startMs: number;
  /** How late the next report comes, ms. */
  lateMs: () => number;
  /** Each sample in turn, with the session time at which it sounds. */
  sounds: (value: number, ms: number) => void;
}

/** A device with a clock of its own, as a test puts it in the place of a player. */
export interface Player {
  take(pcm: Buffer): void;
  /** Tells of itself until it ends. */
  report(reported: (report: PlayerReport) => void, ended: AbortSignal): Promise<void>;
}

/**
 * A device with a clock of its own that says 20 times a second how much it has played, to the millisecond as pacat does.
 * It stands still while it has nothing.
 */
export class ReportingPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #periodMs: number;
  #taken = 0;
  /** Session time at which all that it was given will have sounded, ms. */
  #dryMs = Number.NEGATIVE_INFINITY;

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.#periodMs = (1000 / options.sampleRateHz) * (1 + options.driftPpm / 1e6);
  }

  /** Sound that it was given and has not played, ms. */
  get underWayMs(): number {
    return Math.max(0, this.#dryMs - this.#options.clock.nowMs());
  }

  /** It stands still for so long, ms, though it has sound: its server is busy. */
  stall(ms: number): void {
    this.#dryMs += ms;
  }

  take(pcm: Buffer): void {
    const { clock, startMs, sounds } = this.#options;
    if (this.#dryMs < clock.nowMs()) this.#dryMs = clock.nowMs() + startMs;
    for (let at = 0; at < pcm.length; at += 2) {
      sounds(pcm.readInt16LE(at) / 32_767, this.#dryMs);
      this.#dryMs += this.#periodMs;
      this.#taken++;
    }
  }

  async report(reported: (report: PlayerReport) => void, ended: AbortSignal): Promise<void> {
    const { clock, sampleRateHz, lateMs } = this.#options;
    for (let n = 1; !ended.aborted; n++) {
      await clock.sleepUntil(n * REPORT_EVERY_MS, ended);
      const samples = this.#taken - this.underWayMs / this.#periodMs;
      const late = lateMs();
      if (late > 0) await clock.sleepUntil(clock.nowMs() + late, ended);
      if (samples > 0) reported({ kind: "played", playedMs: Math.round((samples / sampleRateHz) * 1000) });
    }
  }
}

/** A device as before that says once a second, as pw-play does, where its clock stood, which had been running before. */
export class PacingPlayer extends ReportingPlayer {
  readonly #pacing: PlayerOptions;

  constructor(options: PlayerOptions) {
    super(options);
    this.#pacing = options;
  }

  override async report(reported: (report: PlayerReport) => void, ended: AbortSignal): Promise<void> {
    const { clock, driftPpm, lateMs } = this.#pacing;
    for (let n = 1; !ended.aborted; n++) {
      await clock.sleepUntil(n * 1000, ended);
      const ageMs = lateMs();
      await clock.sleepUntil(n * 1000 + ageMs, ended);
      reported({ kind: "pace", deviceMs: 54_321 + (n * 1000) / (1 + driftPpm / 1e6), ageMs });
    }
  }
}

/** A live speaker that such a device plays for; it works until the signal. */
export async function openReporting<P extends Player = ReportingPlayer>(
  options: PlayerOptions & { bufferMs: number },
  signal: AbortSignal,
  make: (options: PlayerOptions) => P = (given) => new ReportingPlayer(given) as Player as P,
): Promise<{ speaker: LiveSpeaker; player: P }> {
  const player = make(options);
  const speaker = new LiveSpeaker({
    ...options,
    name: "speaker fake",
    channels: 1,
    reports: true,
    remedy: "",
    launch: (stop, reported) => {
      player.report(reported, stop).catch((fault: unknown) => {
        // Else the device is gone.
        if (!stop.aborted) throw fault;
      });
      const program = new FakeProgram(
        async function* () {},
        (bytes) => player.take(bytes),
      );
      stop.addEventListener("abort", () => program.kill());
      return program;
    },
  });
  await speaker.states.prepare!(signal);
  options.clock.start();
  void (async () => {
    for await (const event of speaker.states.open(options.clock, signal))
      throw new Error(JSON.stringify(event));
  })();
  await options.clock.sleepUntil(1);
  return { speaker, player };
}
