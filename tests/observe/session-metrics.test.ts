import { expect, test } from "vitest";
import { SessionMetrics } from "../../src/observe/session-metrics.ts";

/** The value of one series in the text exposition format. */
function seriesOf(text: string, series: string): number | null {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

test("counts steps, late ones, and what a session's account says", async () => {
  const metrics = new SessionMetrics(200);
  for (const stepMs of [4, 9, 60, 250]) {
    metrics.step({ stepMs, late: stepMs > 200, inputs: [{}], savings: [] });
  }
  metrics.step({ stepMs: 30, late: false, inputs: [{}, {}], savings: ["lower-video-rate"] });
  for (const kind of ["speech", "speech", "yield", "text"]) metrics.event({ kind });
  for (const state of ["ready", "lost"]) metrics.event({ kind: "device", state });
  metrics.event({
    kind: "end",
    gaps: { count: 3, totalMs: 150 },
    dropped: { frames: 7, events: 0, phrases: 0, intervals: 0 },
  });

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
  expect(seriesOf(text, "microturn_devices_lost_total")).toBe(1);
  expect(seriesOf(text, "microturn_audio_gaps_total")).toBe(3);
  expect(seriesOf(text, "microturn_audio_gap_seconds_total")).toBeCloseTo(0.15, 9);
  expect(seriesOf(text, 'microturn_dropped_total{what="frames"}')).toBe(7);
  expect(seriesOf(text, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
});
