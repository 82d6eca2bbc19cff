import { ClockLine, type ClockPoint } from "../media/clock-line.ts";

/** Reports of each stretch of this length are taken together, ms. */
const WINDOW_MS = 250;
/** Windows that the line is drawn through: two minutes. */
const WINDOWS = 480;
/** If even the most punctual report of a window is off by more than this, ms, the device has stood still or has leapt. */
const STEP_MS = 5;

/**
 * Tells when the samples given to a device sound. It is reckoned from the moment at which a silent device was given its
 * first, and from its pace where it tells that; a device that reports how much it has played is measured: a line through the most punctual one of the reports of
 * each quarter of a second leads from its time to the session's, since a report may be held up on its way. Where that one
 * is ahead of all that was measured, the middle one is taken: a device that ran dry may say too much for a moment.
 */
export class PlaybackClock {
  readonly #sampleRateHz: number;
  readonly #line = new ClockLine(WINDOWS);
  #window: ClockPoint[] = [];
  /** What its samples are ahead of its clock, ms; null until its pace is first told after it was silent. */
  #aheadMs: number | null = null;

  constructor(sampleRateHz: number) {
    this.#sampleRateHz = sampleRateHz;
    this.#line.begin({ deviceMs: 0, sessionMs: Number.NEGATIVE_INFINITY });
  }

  /** How much longer the device takes for its samples than it says, as a share; 0 until it has been measured. */
  get drift(): number {
    return this.#line.drift;
  }

  /** Session time at which sample `n` sounds, ms; minus infinity before the first `begin`. */
  soundsMs(n: number): number {
    return this.#line.sessionMs((n / this.#sampleRateHz) * 1000);
  }

  /** The device is silent and sample `n`, the next that it is given, will sound at `sessionMs`. */
  begin(n: number, sessionMs: number): void {
    this.#window = [];
    this.#aheadMs = null;
    this.#line.begin({ deviceMs: (n / this.#sampleRateHz) * 1000, sessionMs });
  }

  /**
   * The device says at session time `sessionMs` that it has played `deviceMs` of what it was given.
   * @returns how much later than was measured before everything sounds from now on, ms; 0 unless it is a step.
   */
  report(deviceMs: number, sessionMs: number): number {
    const first = this.#window[0];
    let stepMs = 0;
    if (first && sessionMs - first.sessionMs >= WINDOW_MS) stepMs = this.#close();
    this.#window.push({ deviceMs, sessionMs });
    // The first one counts at once: until then all is reckoned, and a sound server may take long to begin.
    if (!this.#line.isSettled) this.#close();
    return stepMs;
  }

  /** The device's own clock, which begins anywhere, stood at `deviceMs` at session time `sessionMs`. Else as `report`. */
  pace(deviceMs: number, sessionMs: number): number {
    const reckonedMs = this.#line.deviceMs(sessionMs);
    if (!Number.isFinite(reckonedMs)) return 0;
    this.#aheadMs ??= reckonedMs - deviceMs;
    return this.report(deviceMs + this.#aheadMs, sessionMs);
  }

  #close(): number {
    const late = this.#window.map((point) => ({
      ...point,
      lateMs: point.sessionMs - this.#line.sessionMs(point.deviceMs),
    }));
    this.#window = [];
    late.sort((a, b) => a.lateMs - b.lateMs);
    const isAhead = late[0]!.lateMs < -STEP_MS;
    const { lateMs, ...point } = late[isAhead ? Math.floor(late.length / 2) : 0]!;
    const wasMeasured = this.#line.isSettled;
    const isStep = Math.abs(lateMs) > STEP_MS;
    if (isStep) this.#line.begin(point);
    this.#line.add(point);
    return isStep && wasMeasured ? lateMs : 0;
  }
}
