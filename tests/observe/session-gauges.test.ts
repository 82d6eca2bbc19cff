import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { type SessionGauges, watchSession } from "../../src/observe/session-gauges.ts";

const standing = {
  gaps: { count: 3, totalMs: 150 },
  dropped: { frames: 7, events: 0 },
  waiting: { events: 2, phrases: 1 },
  microphoneDrift: 0.0002,
};

/** The samples of the text exposition format by their series. */
async function samplesOf(registry: Registry): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split("\n").filter((line) => /^[a-z]/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

test("each scrape reads the figures as they are then", async () => {
  const registry = new Registry();
  const counters = { done: 4, retries: 1 };
  let enhancementDb: number | null = null;
  const gauges: SessionGauges = {
    standing: () => standing,
    underruns: () => 5,
    speakerDrift: () => -0.0001,
    echo: { delayMs: 63, returnLossDb: 12, enhancementDb: () => enhancementDb },
    serial: () => counters,
    recordingBytes: () => 1024,
  };
  watchSession(registry, gauges);
  const first = await samplesOf(registry);
  expect(Object.fromEntries(first)).toEqual({
    microturn_audio_gaps_total: 3,
    microturn_audio_gap_seconds_total: 0.15,
    microturn_microphone_drift_ratio: 0.0002,
    microturn_speaker_drift_ratio: -0.0001,
    microturn_speaker_underruns_total: 5,
    'microturn_dropped_total{what="frames"}': 7,
    'microturn_dropped_total{what="events"}': 0,
    'microturn_queue_items{queue="events"}': 2,
    'microturn_queue_items{queue="phrases"}': 1,
    microturn_recording_queue_bytes: 1024,
    'microturn_serial_total{what="done"}': 4,
    'microturn_serial_total{what="retries"}': 1,
    microturn_echo_delay_seconds: 0.063,
    microturn_echo_return_loss_db: 12,
    microturn_echo_enhancement_db: Number.NaN,
  });
  counters.done = 6;
  enhancementDb = 24.5;
  standing.waiting.phrases = 0;
  const second = await samplesOf(registry);
  expect(second.get('microturn_serial_total{what="done"}')).toBe(6);
  expect(second.get("microturn_echo_enhancement_db")).toBe(24.5);
  expect(second.get('microturn_queue_items{queue="phrases"}')).toBe(0);
  expect(second.size).toBe(first.size);
});

test("what a session lacks has no series", async () => {
  const registry = new Registry();
  watchSession(registry, { standing: () => standing, underruns: () => 0, speakerDrift: () => 0 });
  const names = [...(await samplesOf(registry)).keys()].join();
  expect(names).not.toMatch(/echo|serial|recording/);
});
