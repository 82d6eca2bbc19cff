/** The most punctual chunk of each stretch of this length counts, ms: the others were held up on their way. */
const WINDOW_MS = 1000;
/** Windows that the line is drawn through. */
const WINDOWS = 120;
/** The rate is taken for the nominal one until the windows span so much time, ms. */
const MEASURED_FROM_MS = 10_000;
/** Until then the line goes through so few of the newest windows, that it does not fall behind. */
const UNMEASURED_WINDOWS = 3;
/** No clock of a working device is further off than this. */
const MAX_DRIFT = 0.001;
/** If even the most punctual chunk of a window is so late, ms, the device has lost samples. */
const LOST_MS = 30;
/** A chunk that is earlier than the line by more than this, ms, moves it at once: nothing comes before it was captured. */
const EARLY_MS = 3;

interface Point {
  deviceMs: number;
  arrivedMs: number;
}

/**
 * Tells when the samples of a live device were captured, though they arrive in chunks that are held up now and then.
 * Samples are counted, which gives time by the device's clock; the session's clock is read when a chunk arrives; and a
 * line through the most punctual arrivals, by least squares, leads from one to the other. Its slope is the device's
 * real rate.
 */
export class CaptureClock {
  readonly #sampleRateHz: number;
  #count = 0;
  /** Session time at device time 0, ms; null before the first chunk. */
  #offsetMs: number | null = null;
  /** How much longer the device takes than it says, as a share; 0 until it has been measured for 10 s. */
  #drift = 0;
  #points: Point[] = [];
  #window: (Point & { lateMs: number; fromMs: number }) | null = null;
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
    this.#note({ deviceMs: this.#deviceMs, arrivedMs });
    this.#lastMs = Math.max(this.#lastMs, this.#sessionMs(startMs));
    return this.#lastMs;
  }

  get #deviceMs(): number {
    return (this.#count / this.#sampleRateHz) * 1000;
  }

  #sessionMs(deviceMs: number): number {
    return this.#offsetMs! + deviceMs * (1 + this.#drift);
  }

  #note(point: Point): void {
    this.#offsetMs ??= point.arrivedMs - point.deviceMs;
    const lateMs = point.arrivedMs - this.#sessionMs(point.deviceMs);
    const settled = this.#points.length > 0;
    if (lateMs < (settled ? -EARLY_MS : 0)) {
      this.#offsetMs += lateMs;
      this.#points = [];
      this.#window = null;
    }
    const window = this.#window;
    if (window !== null && point.arrivedMs - window.fromMs >= WINDOW_MS) {
      this.#window = null;
      this.#close(window);
    }
    const fromMs = this.#window?.fromMs ?? point.arrivedMs;
    const later = point.arrivedMs - this.#sessionMs(point.deviceMs);
    if (this.#window === null || later < this.#window.lateMs) {
      this.#window = { ...point, lateMs: later, fromMs };
    }
  }

  #close({ deviceMs, arrivedMs, lateMs }: Point & { lateMs: number }): void {
    if (lateMs > LOST_MS) {
      // The line goes on from here; its slope stays.
      this.#offsetMs! += lateMs;
      this.#points = [{ deviceMs, arrivedMs }];
      return;
    }
    this.#points.push({ deviceMs, arrivedMs });
    if (this.#points.length > WINDOWS) this.#points.shift();
    const spanMs = deviceMs - this.#points[0]!.deviceMs;
    const points = spanMs < MEASURED_FROM_MS ? this.#points.slice(-UNMEASURED_WINDOWS) : this.#points;
    const mean = (of: (point: Point) => number) =>
      points.reduce((sum, point) => sum + of(point), 0) / points.length;
    const deviceMean = mean((point) => point.deviceMs);
    // Of the difference, so that hours of milliseconds cost no digits.
    const lateMean = mean((point) => point.arrivedMs - point.deviceMs);
    if (spanMs >= MEASURED_FROM_MS) {
      const covariance = mean(
        (point) => (point.deviceMs - deviceMean) * (point.arrivedMs - point.deviceMs - lateMean),
      );
      const variance = mean((point) => (point.deviceMs - deviceMean) ** 2);
      this.#drift = Math.max(-MAX_DRIFT, Math.min(MAX_DRIFT, covariance / variance));
    }
    this.#offsetMs = lateMean - deviceMean * this.#drift;
  }
}
