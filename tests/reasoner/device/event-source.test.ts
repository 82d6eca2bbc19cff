import { expect, test } from "vitest";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { InputEvent, ReasonerEvent } from "../../../src/core/micro-turn.ts";
import { ReasonerEvents } from "../../../src/reasoner/device/event-source.ts";

type Told = Omit<ReasonerEvent, "timeMs">;

const told = (state: ReasonerEvent["state"], text = "", task = "t"): Told => ({
  kind: "reasoner",
  task,
  state,
  about: "",
  text,
  ageMs: 0,
  stale: false,
});

/** What comes of the events within the first `ms` of a session. */
async function drawn(source: ReasonerEvents, ms = 100_000): Promise<InputEvent[]> {
  const clock = new VirtualClock();
  const ending = new AbortController();
  const events: InputEvent[] = [];
  const drawing = (async () => {
    for await (const item of source.open(clock, ending.signal))
      if (item.kind === "event") events.push(item.event);
  })();
  await new Promise(setImmediate);
  await clock.pass(ms);
  ending.abort();
  await drawing;
  return events;
}

const lines = (events: readonly InputEvent[]) =>
  events.map((event) =>
    event.kind === "reasoner" ? `${event.task} ${event.state} ${event.text}`.trim() : event.kind,
  );

test("what waits is brought up to date: pieces are joined, a result takes their place", async () => {
  const source = new ReasonerEvents(() => {});
  for (const text of ["one ", "two ", "three"]) source.push(told("partial", text));
  source.push(told("partial", "other", "u"));
  source.push(told("ask", "old"));
  source.push(told("ask", "new"));
  source.push(told("progress", "old", "u"));
  source.push(told("progress", "new", "u"));
  source.push(told("result", "42", "v"));
  expect(lines(await drawn(source))).toEqual([
    "t partial one two three",
    "u partial other",
    "t ask new",
    "u progress new",
    "v result 42",
  ]);
});

test("a result is what remains of its task; what was refused is still told", async () => {
  const source = new ReasonerEvents(() => {});
  for (const state of ["waiting", "accepted", "partial", "ask", "refused", "result"] as const)
    source.push(told(state));
  expect(lines(await drawn(source))).toEqual(["t refused", "t result"]);
});

test("only the last state of the link is told", async () => {
  const source = new ReasonerEvents(() => {});
  for (const state of ["ready", "lost", "ready", "lost"] as const) {
    source.push({ kind: "device", device: "reasoner", state, detail: "" });
  }
  const events = await drawn(source);
  expect(events).toEqual([{ kind: "device", timeMs: 0, device: "reasoner", state: "lost", detail: "" }]);
});

test("a flood is handed over at a bounded rate, and bounded in memory", async () => {
  const source = new ReasonerEvents(() => {});
  for (let i = 0; i < 100_000; i++) source.push(told("refused", String(i)));
  const events = await drawn(source, 1000);
  // Four at once and four in each 200 ms.
  expect(events.length).toBeLessThanOrEqual(24);
  expect(events.length).toBeGreaterThanOrEqual(20);
  expect(source.dropped).toBe(100_000 - 128);
  const long = new ReasonerEvents(() => {});
  for (let i = 0; i < 10_000; i++) long.push(told("partial", "x".repeat(2000)));
  expect((await drawn(long)).map((event) => event.kind === "reasoner" && event.text.length)).toEqual([4000]);
});
