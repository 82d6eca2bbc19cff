import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { microphoneFrom, speakerFrom } from "../../../devices/devices.ts";
import { RealClock } from "../../../src/core/clock.ts";
import { Listener, openSpeaker, PATIENCE, RATE_HZ, tone, usual } from "./sound-ends.ts";
import { describeWithSound, killChildren, SoundServer } from "./sound-server.ts";

describeWithSound("with a sound server", () => {
  const server = new SoundServer();
  beforeAll(() => server.start());
  afterAll(() => server.stop());

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
