import type { Clock } from "../../src/core/clock.ts";
import { FakeRobot, type Motion } from "./fake-robot.ts";
import type { OpenPort } from "./port.ts";

/** How often the fake board's own loop runs, ms. */
const POLL_MS = 10;

/** A port with a fake robot at its other end, in this process and on the session's clock, real or virtual. */
export function fakePort(clock: Clock, onMotion: (motion: Motion) => void = () => {}): OpenPort {
  return async (listener) => {
    const closed = new AbortController();
    const robot = new FakeRobot({
      // Never within the call that made the board speak: a line takes its time.
      write: (bytes) => queueMicrotask(() => !closed.signal.aborted && listener.onBytes(bytes)),
      onMotion,
    });
    const nowMs = () => Math.floor(clock.nowMs());
    const run = async () => {
      while (!closed.signal.aborted) {
        robot.poll(nowMs());
        await clock.sleepUntil(clock.nowMs() + POLL_MS, closed.signal).catch(() => {});
      }
    };
    const running = run();
    return {
      async write(bytes) {
        robot.receive(bytes, nowMs());
      },
      async close() {
        closed.abort();
        await running;
      },
    };
  };
}
