import { expect, test } from "vitest";
import { LiveCamera } from "../../../devices/camera/live-camera.ts";
import { LiveMicrophone } from "../../../devices/microphone/live-microphone.ts";
import { LiveSpeaker } from "../../../devices/speaker/live-speaker.ts";
import { FakeVoice } from "../../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { MicroTurnInput } from "../../../src/core/micro-turn.ts";
import { Session } from "../../../src/runtime/session.ts";
import { ScriptedModel, says } from "../../runtime/scripted-model.ts";
import { seededRandom } from "../../timeline/random.ts";
import { captured, FakeProgram } from "./fake-program.ts";

const KILLS = 200;
const RATE_HZ = 2000;
/** A period of 50 ms: by its phase sound is found to be up to 25 ms off. */
const TONE_HZ = 20;
const tone = (ms: number) => 0.5 * Math.sin((2 * Math.PI * TONE_HZ * ms) / 1000);

/** By how much the tone stands late in a micro-turn that has all of it, ms; null if some is missing. */
function lateBy({ audio, startMs }: MicroTurnInput): number | null {
  let [re, im, silent] = [0, 0, 0];
  for (const [i, sample] of audio!.entries()) {
    const angle = 2 * Math.PI * TONE_HZ * (startMs / 1000 + i / RATE_HZ);
    re += sample * Math.sin(angle);
    im += sample * Math.cos(angle);
    silent = sample === 0 ? silent + 1 : 0;
    if (silent > 3) return null;
  }
  return (-Math.atan2(im, re) / (2 * Math.PI * TONE_HZ)) * 1000;
}

function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test(`${KILLS} kills of microphone, camera and speaker in one session: it goes on, aligned, in constant memory`, async () => {
  const clock = new VirtualClock();
  const random = seededRandom(5);
  const running = new Map<string, FakeProgram>();
  const started = { microphone: 0, camera: 0, speaker: 0 };
  const launch = (kind: keyof typeof started, program: FakeProgram, signal: AbortSignal) => {
    started[kind]++;
    running.set(kind, program);
    const onAbort = () => program.kill();
    signal.addEventListener("abort", onAbort, { once: true });
    void program.ended.then(() => signal.removeEventListener("abort", onAbort));
    return program;
  };
  const microphone = new LiveMicrophone({
    name: "microphone fake",
    sampleRateHz: RATE_HZ,
    channels: 1,
    latencyMs: 0,
    remedy: "",
    random,
    launch: (signal) => {
      const lateMs = () => 3 * random();
      const capture = { clock, sampleRateHz: RATE_HZ, chunkMs: 20, driftPpm: 150, lateMs, soundAt: tone };
      return launch("microphone", new FakeProgram((killed) => captured(capture, killed)), signal);
    },
  });
  const camera = new LiveCamera({
    name: "camera fake",
    width: 4,
    height: 4,
    rotate: 90,
    mirror: true,
    remedy: "",
    random,
    launch: (signal) =>
      launch(
        "camera",
        new FakeProgram(async function* (killed) {
          while (!killed.aborted) {
            yield Buffer.alloc(48, Math.floor(clock.nowMs() / 100) % 256);
            await clock.sleepUntil(clock.nowMs() + 66, killed);
          }
        }),
        signal,
      ),
  });
  const speaker = new LiveSpeaker({
    name: "speaker fake",
    clock,
    sampleRateHz: RATE_HZ,
    channels: 1,
    bufferMs: 25,
    startMs: 10,
    reports: false,
    remedy: "",
    random,
    launch: (signal) =>
      launch(
        "speaker",
        new FakeProgram(
          async function* () {},
          () => {},
        ),
        signal,
      ),
  });

  let kills = 0;
  const memory: number[] = [];
  let whole = 0;
  let worstMs = 0;
  let framesMs = 0;
  const model = new ScriptedModel({
    audioSampleRateHz: RATE_HZ,
    script: (index, inputs) => {
      model.steps.length = 0;
      for (const input of inputs) {
        const lateMs = lateBy(input);
        if (lateMs === null) continue;
        whole++;
        worstMs = Math.max(worstMs, Math.abs(lateMs));
        for (const frame of input.frames) framesMs = frame.captureMs;
      }
      if (index % 50 === 49) memory.push(memoryBytes());
      if (kills < KILLS && random() < 0.4) {
        const kind = (["microphone", "camera", "speaker"] as const)[Math.floor(3 * random())]!;
        if (running.has(kind)) kills++;
        running.get(kind)?.kill("killed by the test");
        running.delete(kind);
      }
      return index % 7 === 0 ? says(" one") : index % 31 === 0 ? [{ kind: "yield" }] : [];
    },
  });
  const told = { lost: 0, ready: 0, ended: 0 };
  const summary = await new Session({
    clock,
    model,
    sources: [microphone, camera, speaker.states],
    voice: new FakeVoice(),
    speaker,
    observers: [{ event: (event) => (event.kind === "device" ? told[event.state]++ : 0) }],
    durationMs: 300_000,
    log: { write: () => {} },
  }).run();

  expect(kills).toBe(KILLS);
  expect(summary).toMatchObject({ microTurns: 1500, late: 0 });
  expect(summary.dropped).toMatchObject({ events: 0, intervals: 0 });
  // A device that is killed again before it gave anything is lost only once.
  expect(told.lost).toBeGreaterThan(KILLS / 2);
  expect(told).toMatchObject({ ready: told.lost, ended: 0 });
  expect(Math.min(started.microphone, started.camera, started.speaker)).toBeGreaterThan(20);
  // All that was not heard is counted as a gap, all that was heard stands in its place.
  expect(summary.gaps.totalMs).toBeGreaterThan(1000);
  expect(summary.gaps.count).toBeLessThanOrEqual(started.microphone + 5);
  expect(whole).toBeGreaterThan(500);
  expect(worstMs, `worst ${worstMs} ms`).toBeLessThan(20);
  expect(framesMs).toBeGreaterThan(290_000);
  const [early, late] = [Math.max(...memory.slice(0, 10)), Math.min(...memory.slice(-10))];
  expect(late).toBeLessThan(early + 4_000_000);
  console.log(JSON.stringify({ started, told, worstMs, gaps: summary.gaps, early, late }));
}, 300_000);
