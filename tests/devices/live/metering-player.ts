import { type PlayerReport, reportReader } from "../../../devices/media/player-reports.ts";
import type { Player, PlayerOptions } from "./reporting-player.ts";

/** What aplay 1.2.8 draws for a period. */
const METER = "##+                                                | 02%";
const BUFFER_MS = 20;
const PERIOD_MS = 5;

/**
 * aplay on a device with a clock of its own: it draws its meter for a period and then gives it to the device, waiting for
 * room. The device begins to play when its buffer is full.
 */
export class MeteringPlayer implements Player {
  readonly #options: PlayerOptions;
  readonly #sampleMs: number;
  readonly #pipe: number[] = [];
  #waiting: () => void = () => {};

  constructor(options: PlayerOptions) {
    this.#options = options;
    this.#sampleMs = (1000 / options.sampleRateHz) * (1 + options.driftPpm / 1e6);
  }

  take(pcm: Buffer): void {
    for (let at = 0; at < pcm.length; at += 2) this.#pipe.push(pcm.readInt16LE(at) / 32_767);
    this.#waiting();
  }

  async report(reported: (report: PlayerReport) => void, ended: AbortSignal): Promise<void> {
    const { clock, sampleRateHz, lateMs, sounds } = this.#options;
    const read = reportReader("alsa");
    const tell = (line: string) => {
      const report = read(line);
      if (report) reported(report);
    };
    const period = (PERIOD_MS / 1000) * sampleRateHz;
    const buffer = (BUFFER_MS / 1000) * sampleRateHz;
    for (const [name, value] of Object.entries({
      rate: sampleRateHz,
      buffer_size: buffer,
      period_size: period,
    }))
      tell(`  ${name}  : ${value}`);
    const unstarted: number[] = [];
    /** Session time at which what the device has will have sounded, ms. */
    let dryMs = Number.NEGATIVE_INFINITY;
    const sound = (samples: readonly number[]) => {
      for (const value of samples) {
        sounds(value, dryMs);
        dryMs += this.#sampleMs;
      }
    };
    while (!ended.aborted) {
      while (this.#pipe.length < period) {
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
      const samples = this.#pipe.splice(0, period);
      const late = lateMs();
      if (late > 5) setLate(late);
      else tell(METER);
      const isRunning = dryMs > clock.nowMs();
      if (!isRunning) {
        unstarted.push(...samples);
        if (unstarted.length < buffer) continue;
        dryMs = clock.nowMs();
        sound(unstarted.splice(0));
        continue;
      }
      const roomAtMs = dryMs + period * this.#sampleMs - buffer * this.#sampleMs;
      if (roomAtMs > clock.nowMs()) await clock.sleepUntil(roomAtMs, ended);
      sound(samples);
    }

    /** The line is held up on its way; the device is not. */
    function setLate(ms: number): void {
      void clock.sleepUntil(clock.nowMs() + ms, ended).then(
        () => tell(METER),
        () => {
          // The device is gone.
        },
      );
    }
  }
}
