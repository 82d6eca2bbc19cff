import { describe, expect, test } from "vitest";
import { PlaybackClock } from "../../../devices/speaker/playback-clock.ts";
import { seededRandom } from "../../timeline/random.ts";

const RATE_HZ = 48_000;

/** A device at +150 ppm that reports every 50 ms from 100 ms on, to the millisecond; one in twelve comes up to 40 ms late. */
function reported(seconds: number, sayMs: (sessionMs: number) => number = () => 0) {
  const random = seededRandom(3);
  const timing = new PlaybackClock(RATE_HZ);
  timing.begin(0, 20);
  const steps: number[] = [];
  let worstMs = 0;
  const soundsMs = (deviceMs: number) => 100 + deviceMs * 1.00015;
  for (let sessionMs = 110; sessionMs < seconds * 1000; sessionMs += 50) {
    const deviceMs = Math.round((sessionMs - 100) / 1.00015 + sayMs(sessionMs));
    const step = timing.report(deviceMs, sessionMs + (random() < 0.08 ? 40 * random() : 2 * random()));
    if (step !== 0) steps.push(step);
    if (sessionMs < 15_000) continue;
    const n = ((sessionMs - 100) / 1000) * RATE_HZ;
    worstMs = Math.max(worstMs, Math.abs(timing.soundsMs(n) - soundsMs(sessionMs - 100)));
  }
  return { timing, steps, worstMs };
}

describe("a playback clock", () => {
  test("follows a device for an hour, and takes reports that are held up for no standstill", () => {
    const { timing, steps, worstMs } = reported(3600);
    expect(steps).toEqual([]);
    expect(worstMs).toBeLessThan(1.5);
    expect(Math.abs(timing.drift * 1e6 - 150)).toBeLessThan(10);
  });

  test("tells of a standstill, and by how much all is later", () => {
    const { steps } = reported(40, (ms) => (ms > 20_000 ? -80 : 0));
    expect(steps).toHaveLength(1);
    expect(Math.abs(steps[0]! - 80)).toBeLessThan(3);
  });

  test("is not led astray by a report that is ahead", () => {
    const { steps } = reported(40, (ms) => (ms > 20_000 && ms < 20_050 ? 60 : 0));
    expect(steps).toEqual([]);
  });
});
