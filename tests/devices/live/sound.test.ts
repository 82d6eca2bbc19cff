import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { microphoneFrom, speakerFrom } from "../../../devices/devices.ts";
import { devicesSchema } from "../../../src/config/devices.ts";
import { RealClock } from "../../../src/core/clock.ts";
import type { Captured } from "../../../src/core/device.ts";
import type { AudioChunk, InputEvent } from "../../../src/core/micro-turn.ts";
import { describeWithSound, killChildren, SoundServer } from "./sound-server.ts";

const RATE_HZ = 16_000;
const usual = devicesSchema.parse({});
const PATIENCE = { timeout: 60_000, interval: 50 };

/** A microphone at work: what it gave so far. */
class Listener {
  readonly chunks: AudioChunk[] = [];
  readonly events: InputEvent[] = [];

  static async open(spec: string, clock: RealClock, signal: AbortSignal, settings = usual.microphone) {
    const listener = new Listener();
    const microphone = microphoneFrom(spec, RATE_HZ, settings)!;
    await microphone.prepare!(signal);
    void listener.#draw(microphone.open(clock, signal));
    return listener;
  }

  async #draw(items: AsyncIterable<Captured>): Promise<void> {
    for await (const item of items) {
      if (item.kind === "audio") this.chunks.push(item);
      if (item.kind === "event") this.events.push(item.event);
    }
  }

  /** Periods of the tone that were heard from `fromMs` on, and the median of them, ms. */
  periods(fromMs = 0): { count: number; medianMs: number } {
    const periods: number[] = [];
    let [before, crossedMs] = [0, Number.NEGATIVE_INFINITY];
    for (const { captureMs, sampleRateHz, samples } of this.chunks) {
      samples.forEach((sample, i) => {
        const ms = captureMs + (i / sampleRateHz) * 1000;
        if (before < 0 && sample >= 0 && ms >= fromMs) {
          const atMs = ms - (1000 / sampleRateHz) * (sample / (sample - before));
          // A longer one is a pause.
          if (atMs - crossedMs < 10) periods.push(atMs - crossedMs);
          crossedMs = atMs;
        }
        before = sample;
      });
    }
    periods.sort((a, b) => a - b);
    return { count: periods.length, medianMs: periods[Math.floor(periods.length / 2)] ?? Number.NaN };
  }

  states(): string[] {
    return this.events.flatMap((event) => (event.kind === "device" ? [event.state] : []));
  }
}

const tone = (ms: number, hz: number) => ({
  sampleRateHz: 22_050,
  samples: Float32Array.from(
    { length: 22.05 * ms },
    (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 22_050),
  ),
});

describeWithSound("with a sound server", () => {
  const server = new SoundServer();
  beforeAll(() => server.start());
  afterAll(() => server.stop());

  async function openSpeaker(spec: string, clock: RealClock, signal: AbortSignal) {
    const speaker = speakerFrom(spec, clock, usual.speaker);
    const states: string[] = [];
    await speaker.states!.prepare!(signal);
    void (async () => {
      for await (const item of speaker.states!.open(clock, signal)) {
        if (item.kind === "event" && item.event.kind === "device") states.push(item.event.state);
      }
    })();
    return { speaker, states };
  }

  test.each([
    { out: "pulse:out", heard: "pulse:out.monitor", settings: usual.microphone },
    { out: "alsa:out", heard: "alsa:heard", settings: usual.microphone },
    {
      out: "pulse:out",
      heard: "pulse:out.monitor",
      settings: { ...usual.microphone, sampleRateHz: 44_100, channels: 2 },
    },
  ])(
    "$out is heard at $heard, at its pitch ($settings.channels channels)",
    async ({ out, heard, settings }) => {
      const clock = new RealClock();
      const stop = new AbortController();
      const listener = await Listener.open(heard, clock, stop.signal, settings);
      const { speaker } = await openSpeaker(out, clock, stop.signal);
      clock.start();
      try {
        const played = await speaker.play("tone", tone(500, 400)).finished;
        expect(played.whole).toBe(true);
        // 200 periods of 2.5 ms. A busy machine may tear the tone apart, but never changes its pitch.
        await vi.waitFor(() => expect(listener.periods().count).toBeGreaterThan(50), PATIENCE);
        expect(Math.abs(listener.periods().medianMs - 2.5)).toBeLessThan(0.02);
      } finally {
        stop.abort();
      }
    },
  );

  test("programs killed with -9 are told, started again, and what they do is heard again", async () => {
    const clock = new RealClock();
    const stop = new AbortController();
    const listener = await Listener.open("pulse:out.monitor", clock, stop.signal);
    const { speaker, states } = await openSpeaker("pulse:out", clock, stop.signal);
    clock.start();
    try {
      for (let kill = 1; kill <= 3; kill++) {
        await vi.waitFor(() => expect(listener.states().length).toBe(2 * (kill - 1)), PATIENCE);
        expect(killChildren("parec")).toBe(1);
        expect(killChildren("pacat")).toBe(1);
        await vi.waitFor(() => expect(states).toHaveLength(2 * kill), PATIENCE);
        await vi.waitFor(() => expect(listener.states()).toHaveLength(2 * kill), PATIENCE);
      }
      expect(states).toEqual(["lost", "ready", "lost", "ready", "lost", "ready"]);
      expect(listener.states()).toEqual(states);
      const { startMs } = await speaker.play("tone", tone(300, 400)).finished;
      await vi.waitFor(() => expect(listener.periods(startMs - 500).count).toBeGreaterThan(10), PATIENCE);
    } finally {
      stop.abort();
    }
  });

  test("a sound server that dies takes both away; when it is back, so are they", async () => {
    const clock = new RealClock();
    const stop = new AbortController();
    const listener = await Listener.open("pulse:out.monitor", clock, stop.signal);
    const { speaker, states } = await openSpeaker("pulse:out", clock, stop.signal);
    clock.start();
    try {
      await server.kill();
      await vi.waitFor(() => expect([states, listener.states()]).toEqual([["lost"], ["lost"]]), PATIENCE);
      expect(await speaker.play("nobody hears it", tone(300, 400)).started).toBeNull();
      await server.start();
      const back = ["lost", "ready"];
      await vi.waitFor(() => expect([states, listener.states()]).toEqual([back, back]), PATIENCE);
    } finally {
      stop.abort();
    }
  });

  test("a device that is not there is refused before the session begins, with its own words", async () => {
    const signal = new AbortController().signal;
    const refused = { code: "device-unavailable", message: expect.stringMatching(/No such entity/) };
    await expect(
      microphoneFrom("pulse:nowhere", RATE_HZ, usual.microphone)!.prepare!(signal),
    ).rejects.toMatchObject(refused);
    const speaker = speakerFrom("pulse:nowhere", new RealClock(), usual.speaker);
    await expect(speaker.states!.prepare!(signal)).rejects.toMatchObject(refused);
  });
});

test("a program that is not installed is named, with what to install", async () => {
  const settings = { ...usual.microphone, command: ["no-such-recorder", "{device}"] };
  const microphone = microphoneFrom("alsa:default", RATE_HZ, settings)!;
  await expect(microphone.prepare!(new AbortController().signal)).rejects.toMatchObject({
    code: "missing-program",
    message: expect.stringMatching(/no-such-recorder.*alsa-utils/),
  });
});
