import { expect } from "vitest";
import { LiveMicrophone } from "../../../devices/microphone/live-microphone.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import { Timeline } from "../../../src/timeline/timeline.ts";
import { seededRandom } from "../../timeline/random.ts";
import { captured, FakeProgram } from "./fake-program.ts";

const RATE_HZ = 2000;
const TONE_HZ = 110;
const LEVEL = 0.5;

const tone = (ms: number) => LEVEL * Math.sin((2 * Math.PI * TONE_HZ * ms) / 1000);

/** A device whose clock is off, heard through a timeline: each second of what the model gets goes to `judge`. */
async function heard(options: {
  driftPpm: number;
  captureHz: number;
  seconds: number;
  judge: (sound: Float32Array, startMs: number) => void;
}): Promise<Timeline> {
  const clock = new VirtualClock();
  const random = seededRandom(17);
  // Most chunks are a little late; now and then the machine is busy. With the 20 ms of a chunk and the 12 ms that the
  // resampler looks ahead at this low rate that stays within the 50 ms that a closing interval waits.
  const lateMs = () => (random() < 0.01 ? 14 * random() : 3 * random());
  const { driftPpm, captureHz: sampleRateHz } = options;
  const microphone = new LiveMicrophone({
    name: "microphone fake",
    sampleRateHz,
    channels: 1,
    latencyMs: 0,
    remedy: "",
    launch: () =>
      new FakeProgram((killed) =>
        captured({ clock, sampleRateHz, chunkMs: 20, driftPpm, lateMs, soundAt: tone }, killed),
      ),
  });
  const timeline = new Timeline({
    clock,
    perception: { microTurnMs: 200, audioSampleRateHz: RATE_HZ, videoFramesPerMicroTurn: null },
    sources: [
      {
        ...microphone,
        name: microphone.name,
        kind: "audio",
        recorded: false,
        open: microphone.open.bind(microphone),
      },
    ],
    durationMs: options.seconds * 1000,
  });
  const signal = new AbortController().signal;
  await timeline.open(signal);
  clock.start();
  let second: number[] = [];
  for await (const inputs of timeline.microTurns(signal)) {
    for (const { audio, startMs } of inputs) {
      if (second.length === 0) second = [];
      second.push(...audio!);
      if (second.length < RATE_HZ) continue;
      options.judge(Float32Array.from(second), startMs + 200 - 1000);
      second = [];
    }
  }
  await timeline.close();
  return timeline;
}

/**
 * By how much the tone stands late in a stretch of sound, ms in (-4.5, 4.5], from its phase against the true tone: a
 * quadrature detector, which knows nothing of resamplers.
 */
function lateBy(sound: Float32Array, startMs: number): number {
  let [re, im] = [0, 0];
  sound.forEach((sample, i) => {
    const angle = 2 * Math.PI * TONE_HZ * (startMs / 1000 + i / RATE_HZ);
    re += sample * Math.sin(angle);
    im += sample * Math.cos(angle);
  });
  return (-Math.atan2(im, re) / (2 * Math.PI * TONE_HZ)) * 1000;
}

/** The largest departure from a pure tone: s[n+1] + s[n-1] - 2 cos(w) s[n] is 0 for one, and a click stands out. */
function roughness(sound: Float32Array): number {
  const k = 2 * Math.cos((2 * Math.PI * TONE_HZ) / RATE_HZ);
  let worst = 0;
  for (let i = 1; i + 1 < sound.length; i++) {
    worst = Math.max(worst, Math.abs(sound[i - 1]! + sound[i + 1]! - k * sound[i]!));
  }
  return worst;
}

export interface Drifting {
  /** By how much the device's clock is slow, parts per million. */
  driftPpm: number;
  captureHz: number;
  seconds: number;
}

/**
 * Hears a tone through a microphone whose clock is off, and fails if it is not aligned all the way or has a click.
 * @returns the figures, for whoever wants to print them.
 */
export async function expectFollowed(
  given: Drifting,
): Promise<{ worstMs: number; endMs: number; rough: number }> {
  const late: number[] = [];
  let rough = 0;
  const timeline = await heard({
    ...given,
    judge(sound, startMs) {
      late.push(lateBy(sound, startMs));
      if (startMs >= 5000) rough = Math.max(rough, roughness(sound));
    },
  });
  // A lag of whole periods would not show in the phase, so it must have been small all the way: 4.5 ms is half of one.
  for (let i = 1; i < late.length; i++) {
    expect(Math.abs(late[i]! - late[i - 1]!), `second ${i}`).toBeLessThan(2);
  }
  const [worstMs, endMs] = [Math.max(...late.slice(10).map(Math.abs)), late.at(-1)!];
  expect(late).toHaveLength(given.seconds);
  expect(worstMs, `worst ${worstMs} ms, at the end ${endMs} ms`).toBeLessThan(4);
  expect(rough).toBeLessThan(0.001);
  expect(timeline.audio!.gaps.count).toBeLessThanOrEqual(1);
  return { worstMs, endMs, rough };
}
