import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { RealClock } from "../../../src/core/clock.ts";
import { describeWithPipewire, PipewireServer } from "./pipewire-server.ts";
import { Listener, openSpeaker, PATIENCE, tone } from "./sound-ends.ts";
import { killChildren } from "./sound-server.ts";

describeWithPipewire("with PipeWire", () => {
  const server = new PipewireServer();
  beforeAll(() => server.start(), PATIENCE.timeout);
  afterAll(() => server.stop());

  test(
    "what is played is heard, at its pitch; killed with -9, both come back and it is heard again",
    async () => {
      const clock = new RealClock();
      const stop = new AbortController();
      const listener = await Listener.open("pipewire:heard", clock, stop.signal);
      const { speaker, states } = await openSpeaker("pipewire:out", clock, stop.signal);
      clock.start();
      try {
        const played = await speaker.play("tone", tone(500, 400)).finished;
        expect(played.whole).toBe(true);
        // Without the priority of a sound server on a desktop it tears the tone apart when the machine is busy.
        await vi.waitFor(() => expect(listener.periodsOf(2.5)).toBeGreaterThan(20), PATIENCE);
        expect(killChildren("pw-record")).toBe(1);
        expect(killChildren("pw-play")).toBe(1);
        const back = ["lost", "ready"];
        await vi.waitFor(() => expect([states, listener.states()]).toEqual([back, back]), PATIENCE);
        const { startMs } = await speaker.play("tone", tone(300, 400)).finished;
        await vi.waitFor(() => expect(listener.periodsOf(2.5, startMs - 500)).toBeGreaterThan(10), PATIENCE);
      } finally {
        stop.abort();
      }
    },
    PATIENCE.timeout,
  );
});
