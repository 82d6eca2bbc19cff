import { expect, test } from "vitest";
import { SessionMetrics } from "../../src/observe/session-metrics.ts";

/** The value of one series in the text exposition format. */
function seriesOf(text: string, series: string): number | null {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

const SILENT = { output: { parts: [] }, savings: [] };
const SPEAKING = { output: { parts: [{ kind: "speech" }] }, savings: [] };

test("counts steps, late ones, and what a session's account says", async () => {
  const metrics = new SessionMetrics(200);
  for (const stepMs of [4, 9, 60, 250]) {
    metrics.step({ stepMs, late: stepMs > 200, inputs: [{ startMs: 0 }], ...SILENT });
  }
  const two = [{ startMs: 200 }, { startMs: 400 }];
  metrics.step({ ...SILENT, stepMs: 30, late: false, inputs: two, savings: ["lower-video-rate"] });
  for (const kind of ["speech", "speech", "yield", "text"]) metrics.event({ tMs: 0, kind });

  const text = await metrics.registry.metrics();
  expect(seriesOf(text, "microturn_step_seconds_count")).toBe(5);
  expect(seriesOf(text, 'microturn_step_seconds_bucket{le="0.01"}')).toBe(2);
  expect(seriesOf(text, 'microturn_step_seconds_bucket{le="0.1"}')).toBe(4);
  expect(seriesOf(text, 'microturn_step_seconds_bucket{le="0.2"}')).toBe(4);
  expect(seriesOf(text, "microturn_micro_turns_total")).toBe(6);
  expect(seriesOf(text, "microturn_late_steps_total")).toBe(1);
  expect(seriesOf(text, "microturn_savings")).toBe(1);
  expect(seriesOf(text, "microturn_phrases_spoken_total")).toBe(2);
  expect(seriesOf(text, "microturn_yields_total")).toBe(1);
  expect(seriesOf(text, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
});

test("a device that was lost and came back has been restarted; one that was there all along has not", async () => {
  const metrics = new SessionMetrics(200);
  const tell = (device: string, state: string) => metrics.event({ tMs: 0, kind: "device", device, state });
  for (const state of ["ready", "lost", "ready", "lost", "ready", "ready"])
    tell("camera v4l2:/dev/video0", state);
  for (const state of ["lost", "lost"]) tell("speaker pulse:default", state);
  for (const state of ["lost", "ready"]) tell("espeak", state);
  const text = await metrics.registry.metrics();
  expect(seriesOf(text, "microturn_devices_lost_total")).toBe(5);
  expect(seriesOf(text, 'microturn_device_restarts_total{device="camera"}')).toBe(2);
  expect(seriesOf(text, 'microturn_device_restarts_total{device="speaker"}')).toBeNull();
  expect(seriesOf(text, 'microturn_device_restarts_total{device="other"}')).toBe(1);
});

test("the first words after a second of none are a reaction, to when they sound; those that follow wait their turn", async () => {
  const metrics = new SessionMetrics(200);
  const step = (startMs: number, says: object) =>
    metrics.step({ stepMs: 5, late: false, inputs: [{ startMs }], ...SILENT, ...says });
  step(1000, SPEAKING);
  metrics.event({ tMs: 1240, kind: "speech" });
  // Chosen at once, but they sound behind the others.
  step(1200, SPEAKING);
  metrics.event({ tMs: 2500, kind: "speech" });
  for (let startMs = 1400; startMs < 2200; startMs += 200) step(startMs, {});
  step(2200, SPEAKING);
  // What gives way never sounds: the next words are another reaction.
  metrics.event({ tMs: 2450, kind: "yield" });
  step(3000, SPEAKING);
  metrics.event({ tMs: 3400, kind: "speech" });
  step(4000, SPEAKING);
  metrics.event({ tMs: 4620, kind: "speech" });
  const text = await metrics.registry.metrics();
  expect(seriesOf(text, "microturn_reaction_seconds_count")).toBe(2);
  expect(seriesOf(text, "microturn_reaction_seconds_sum")).toBeCloseTo(0.24 + 0.62, 9);
});
