import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { keyboard, typedText } from "../../devices/devices.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { Captured } from "../../src/core/device.ts";

test("lines come as they are typed, stamped with session time; empty ones do not", async () => {
  const clock = new VirtualClock();
  const input = new PassThrough();
  const abort = new AbortController();
  const lines: Captured[] = [];
  const reading = (async () => {
    for await (const item of keyboard(input).open(clock, abort.signal)) {
      lines.push(item);
      if (lines.length === 2) abort.abort();
    }
  })();
  input.write("count my push-ups\n\n");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await clock.pass(700);
  input.write("stop\n");
  await reading;
  expect(lines).toEqual([
    { kind: "event", captureMs: 0, event: { kind: "text", timeMs: 0, text: "count my push-ups" } },
    { kind: "event", captureMs: 700, event: { kind: "text", timeMs: 700, text: "stop" } },
  ]);
});

test("a text before the session begins is refused", () => {
  expect(() => typedText([{ seconds: -1, text: "too soon" }])).toThrow(/second -1, expected 0 or later/);
});
