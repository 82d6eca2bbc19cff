import { expect } from "vitest";
import { VirtualClock } from "../../../src/core/clock.ts";
import { seededRandom } from "../../timeline/random.ts";
import { openReporting, type Player, type PlayerOptions } from "./reporting-player.ts";

const RATE_HZ = 2000;
const TONE_HZ = 110;
const LEVEL = 0.5;

interface Sounded {
  value: number;
  /** Since the phrase began. */
  ms: number;
}

/**
 * By how much the tone stands late in what sounded, ms in (-4.5, 4.5], from its phase against the true tone: a quadrature
 * detector, which knows nothing of resamplers.
 */
function lateBy(sounded: readonly Sounded[]): number {
  let [re, im] = [0, 0];
  for (const { value, ms } of sounded) {
    const angle = (2 * Math.PI * TONE_HZ * ms) / 1000;
    re += value * Math.sin(angle);
    im += value * Math.cos(angle);
  }
  return (-Math.atan2(im, re) / (2 * Math.PI * TONE_HZ)) * 1000;
}

export interface Figures {
  /** How far a second of the tone stood from its place, ms: at worst, and in the last one. */
  worstMs: number;
  endMs: number;
  /** The largest step between two samples, as a share of the largest that a pure tone has. */
  step: number;
  /** The largest departure from a pure tone: s[n+1] + s[n-1] - 2 cos(w) s[n] is 0 for one. */
  rough: number;
}

/**
 * Plays one phrase of `seconds`, a tone, on a device whose clock is slow by `driftPpm`, and fails if it does not stay in
 * its place all the way or has a click.
 */
export async function expectInPlace(
  given: { driftPpm: number; seconds: number },
  make?: (options: PlayerOptions) => Player,
): Promise<Figures> {
  const { driftPpm, seconds } = given;
  const clock = new VirtualClock();
  const random = seededRandom(23);
  const stop = new AbortController();
  const [late, figures] = [[] as number[], { step: 0, rough: 0 }];
  const angle = (2 * Math.PI * TONE_HZ * (1 + driftPpm / 1e6)) / RATE_HZ;
  const largest = 2 * LEVEL * Math.sin(angle / 2);
  let [second, before, last]: [Sounded[], number, number] = [[], 0, 0];
  // A slow device plays fewer samples in the same time; at the very end the tone breaks off.
  const counted = (RATE_HZ * seconds) / (1 + driftPpm / 1e6) - 200;
  let count = 0;
  let firstMs: number | null = null;
  const { speaker } = await openReporting(
    {
      clock,
      sampleRateHz: RATE_HZ,
      driftPpm,
      bufferMs: 40,
      startMs: 5,
      lateMs: () => (random() < 0.02 ? 40 * random() : 2 * random()),
      sounds: (value, ms) => {
        if (firstMs === null && value !== 0) firstMs = ms - 1000 / RATE_HZ; // the tone begins with a 0
        if (firstMs === null || count >= counted) return;
        if (count++ > 100) {
          figures.step = Math.max(figures.step, Math.abs(value - last) / largest);
          figures.rough = Math.max(figures.rough, Math.abs(value + before - 2 * Math.cos(angle) * last));
        }
        [before, last] = [last, value];
        second.push({ value, ms: ms - firstMs });
        if (second.length < RATE_HZ) return;
        late.push(lateBy(second));
        second = [];
      },
    },
    stop.signal,
    make,
  );
  const samples = Float32Array.from(
    { length: RATE_HZ * seconds },
    (_, i) => LEVEL * Math.sin((2 * Math.PI * TONE_HZ * i) / RATE_HZ),
  );
  // First the device's clock is measured in silence, as it is when a session has begun.
  await clock.sleepUntil(2000);
  const played = await speaker.play("", { sampleRateHz: RATE_HZ, samples }).finished;
  expect(Math.abs(speaker.drift - driftPpm / 1e6), "measured drift").toBeLessThan(50e-6);
  stop.abort();
  const all = { ...figures, worstMs: Math.max(...late.map(Math.abs)), endMs: late.at(-1)! };
  const what = JSON.stringify({ ...given, ...all, ...played });
  // A lag of whole periods would not show in the phase, so it must have been small all the way: 4.5 ms is half of one.
  for (let i = 1; i < late.length; i++) {
    expect(Math.abs(late[i]! - late[i - 1]!), `second ${i}`).toBeLessThan(2);
  }
  expect(late.length, what).toBeGreaterThanOrEqual(seconds - 1);
  expect(all.worstMs, what).toBeLessThan(4);
  expect(all.step, what).toBeLessThan(1.01);
  expect(all.rough, what).toBeLessThan(0.002);
  expect(Math.abs(played.endMs - played.startMs - 1000 * seconds), what).toBeLessThan(4);
  expect(Math.abs(played.startMs - firstMs!), what).toBeLessThan(2);
  expect(speaker.underruns, what).toBe(0);
  return all;
}
