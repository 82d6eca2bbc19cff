import { ClockLine, type ClockPoint } from "./clock-line.ts";

/** The most punctual chunk of each stretch of this length counts, ms: the others were held up on their way. */
const WINDOW_MS = 1000;
/** Windows that the line is drawn through. */
const WINDOWS = 120;
/** If even the most punctual chunk of a window is so late, ms, the device has lost samples. */
const LOST_MS = 30;
/** A chunk that is earlier than the line by more than this, ms, moves it at once: nothing comes before it was captured. */
const EARLY_MS = 3;

/**
 * Tells when the samples of a live device were captured, though they arrive in chunks that are held up now and then.
 * Samples are counted, which gives time by the device's clock; the session's clock is read when a chunk arrives; and a
 * line through the most punctual arrivals leads from one to the other.
 */
export class CaptureClock {
  readonly #sampleRateHz: number;
  readonly #line = new ClockLine(WINDOWS);
  #count = 0;
  #window: (ClockPoint & { lateMs: number; fromMs: number }) | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(sampleRateHz: number) {
    this.#sampleRateHz = sampleRateHz;
  }

  /**
   * Takes note of a chunk of `count` samples that was complete at `arrivedMs`.
   * @returns the session time of its first sample, ms, never before that of the chunk before.
   */
  stamp(arrivedMs: number, count: number): number {
    const startMs = this.#deviceMs;
    this.#count += count;
    this.#note({ deviceMs: this.#deviceMs, sessionMs: arrivedMs });
    this.#lastMs = Math.max(this.#lastMs, this.#line.sessionMs(startMs));
    return this.#lastMs;
  }

  get #deviceMs(): number {
    return (this.#count / this.#sampleRateHz) * 1000;
  }

  #lateMs({ deviceMs, sessionMs }: ClockPoint): number {
    return sessionMs - this.#line.sessionMs(deviceMs);
  }

  #note(point: ClockPoint): void {
    const line = this.#line;
    if (line.isNew || this.#lateMs(point) < (line.isSettled ? -EARLY_MS : 0)) {
      line.begin(point);
      this.#window = null;
    }
    const arrivedMs = point.sessionMs;
    if (this.#window !== null && arrivedMs - this.#window.fromMs >= WINDOW_MS) {
      const { lateMs, deviceMs, sessionMs } = this.#window;
      this.#window = null;
      if (lateMs > LOST_MS) line.begin({ deviceMs, sessionMs });
      line.add({ deviceMs, sessionMs });
    }
    const fromMs = this.#window?.fromMs ?? arrivedMs;
    const lateMs = this.#lateMs(point);
    if (this.#window === null || lateMs < this.#window.lateMs) this.#window = { ...point, lateMs, fromMs };
  }
}
