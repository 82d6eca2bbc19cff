import { expect, test } from "vitest";
import { FakeCamera } from "../../devices/camera/fake-camera.ts";
import { FakeMicrophone } from "../../devices/microphone/fake-microphone.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { AudioChunk } from "../../src/core/micro-turn.ts";
import { Session } from "../../src/runtime/session.ts";
import { ScriptedModel, says } from "../runtime/scripted-model.ts";

const HOUR_MS = 3_600_000;

function* every(periodMs: number): Generator<number> {
  for (let timeMs = 0; ; timeMs += periodMs) yield timeMs;
}

function* sound(): Generator<AudioChunk> {
  for (const captureMs of every(100)) {
    yield { captureMs, sampleRateHz: 16_000, samples: new Float32Array(1600).fill(0.1) };
  }
}

/** Memory in use after a collection, where the run was given one (node --expose-gc), bytes. */
function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("an hour of session: every micro-turn, none late, memory as in its first minutes", async () => {
  const clock = new VirtualClock();
  const memory: number[] = [];
  const model = new ScriptedModel({
    script: (index) => {
      // The scripted model keeps what it was fed; an hour of it would be what is measured.
      model.steps.length = 0;
      if (index % 1500 === 1499) memory.push(memoryBytes());
      return index % 10 === 0 ? says(` ${index}`) : index % 55 === 0 ? [{ kind: "yield" }] : [];
    },
  });
  let spoken = 0;
  const summary = await new Session({
    clock,
    model,
    sources: [new FakeCamera({ captureMs: every(50) }), new FakeMicrophone({ chunks: sound() })],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ event: ({ kind }) => (spoken += kind === "speech" ? 1 : 0) }],
    durationMs: HOUR_MS,
  }).run();
  expect(summary).toMatchObject({ microTurns: 18_000, late: 0, gaps: { count: 0 } });
  expect(summary.dropped).toEqual({ frames: 0, events: 0, phrases: 0, sound: 0, intervals: 0 });
  expect(spoken).toBe(1800);
  // Twelve readings, one every five minutes. Without a collection each stands anywhere between two of them, so the
  // least of the last four is held against the most of the first four.
  const [early, late] = [Math.max(...memory.slice(0, 4)), Math.min(...memory.slice(-4))];
  expect(late).toBeLessThan(early + 4_000_000);
});
