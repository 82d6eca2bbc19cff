/** The rate is taken for the nominal one until the points span so much time, ms. */
const MEASURED_FROM_MS = 10_000;
/** Until then the line goes through so few of the newest points, that it does not fall behind. */
const UNMEASURED_POINTS = 3;
/** No clock of a working device is further off than this. */
const MAX_DRIFT = 0.001;

/** A moment by the device's clock and by the session's. */
export interface ClockPoint {
  deviceMs: number;
  sessionMs: number;
}

/**
 * Leads from a device's time, which its samples count, to session time: a line through the newest points of both, by
 * least squares. Its slope is the device's real rate.
 */
export class ClockLine {
  readonly #capacity: number;
  /** Session time at device time 0, ms; null before the first point. */
  #offsetMs: number | null = null;
  #drift = 0;
  #points: ClockPoint[] = [];

  /** @param capacity points that the line is drawn through at most. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How much longer the device takes than it says, as a share; 0 until it has been measured for 10 s. */
  get drift(): number {
    return this.#drift;
  }

  /** True before the line has any place. */
  get isNew(): boolean {
    return this.#offsetMs === null;
  }

  /** True if points have been added since the line was last begun. */
  get isSettled(): boolean {
    return this.#points.length > 0;
  }

  /** Not before `begin`. */
  sessionMs(deviceMs: number): number {
    return this.#offsetMs! + deviceMs * (1 + this.#drift);
  }

  /** Not before `begin`. */
  deviceMs(sessionMs: number): number {
    return (sessionMs - this.#offsetMs!) / (1 + this.#drift);
  }

  /** Puts the line through one point alone. Its slope stays. */
  begin({ deviceMs, sessionMs }: ClockPoint): void {
    this.#offsetMs = sessionMs - deviceMs * (1 + this.#drift);
    this.#points = [];
  }

  /** One more point, later than those before. */
  add(point: ClockPoint): void {
    this.#points.push(point);
    if (this.#points.length > this.#capacity) this.#points.shift();
    const spanMs = point.deviceMs - this.#points[0]!.deviceMs;
    const points = spanMs < MEASURED_FROM_MS ? this.#points.slice(-UNMEASURED_POINTS) : this.#points;
    const mean = (of: (point: ClockPoint) => number) =>
      points.reduce((sum, point) => sum + of(point), 0) / points.length;
    const deviceMean = mean(({ deviceMs }) => deviceMs);
    // Of the difference, so that hours of milliseconds cost no digits.
    const lateMean = mean(({ deviceMs, sessionMs }) => sessionMs - deviceMs);
    if (spanMs >= MEASURED_FROM_MS) {
      const covariance = mean(
        ({ deviceMs, sessionMs }) => (deviceMs - deviceMean) * (sessionMs - deviceMs - lateMean),
      );
      const variance = mean(({ deviceMs }) => (deviceMs - deviceMean) ** 2);
      this.#drift = Math.max(-MAX_DRIFT, Math.min(MAX_DRIFT, covariance / variance));
    }
    this.#offsetMs = lateMean - deviceMean * this.#drift;
  }
}
