import { PassThrough } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { FakeMicrophone } from "../../devices/microphone/fake-microphone.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { Keyboard } from "../../devices/text/keyboard.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { type Clock, VirtualClock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import type { AudioChunk } from "../../src/core/micro-turn.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import type { SessionObserver, SessionSummary } from "../../src/runtime/events.ts";
import { Session } from "../../src/runtime/session.ts";
import { seededUniform } from "../models/native/random-checkpoint.ts";

const SILENT_LOG = { write: () => {} };

export interface RandomSession {
  seed: number;
  /** Not started. */
  clock: Clock;
  model: InteractionModel;
  observers: readonly SessionObserver[];
  durationMs: number;
}

/** A number in [0, 1) at each call, by the seed alone. */
function random(seed: number): () => number {
  const uniform = seededUniform(seed);
  for (let i = 0; i < 8; i++) uniform();
  return () => (uniform() + 1) / 2;
}

/** Noise of changing loudness at 44.1 kHz, so that it is resampled, with holes in it. */
function* noise(seed: number, durationMs: number): Generator<AudioChunk> {
  const some = random(seed);
  for (let captureMs = 0; captureMs < durationMs; captureMs += 50) {
    const loudness = 10 ** (-3 * some());
    const samples = Float32Array.from({ length: 2205 }, () => loudness * (2 * some() - 1));
    if (some() < 0.9) yield { captureMs, sampleRateHz: 44_100, samples };
  }
}

/** Pictures of noise in colour at irregular times. */
class NoiseCamera implements Source {
  readonly kind = "video";
  readonly name = "noise camera";
  readonly recorded: boolean;
  readonly #seed: number;
  readonly #durationMs: number;

  constructor(seed: number, durationMs: number, recorded: boolean) {
    this.#seed = seed;
    this.#durationMs = durationMs;
    this.recorded = recorded;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const some = random(this.#seed);
    for (let captureMs = 0; captureMs < this.#durationMs; captureMs += 200 * some()) {
      if (!this.recorded) await clock.sleepUntil(captureMs, signal);
      if (signal.aborted) return;
      const [width, height] = [20, 18];
      const rgb = Uint8Array.from({ length: width * height * 3 }, () => 256 * some());
      yield { kind: "frame", captureMs, width, height, rgb };
    }
  }
}

/** A model of which every fourth step takes longer than two intervals, by its clock. */
export function slowModel(model: InteractionModel, clock: Clock): InteractionModel {
  let steps = 0;
  return {
    perception: model.perception,
    description: model.description,
    async step(inputs) {
      if (steps++ % 4 === 2) await (clock instanceof VirtualClock ? clock.pass(450) : delay(450));
      return model.step(inputs);
    },
    reset: () => model.reset(),
    close: () => model.close(),
    ...(model.reduceFrame ? { reduceFrame: model.reduceFrame.bind(model) } : {}),
  };
}

/**
 * Runs a session of random sound, pictures and typed text, with late steps. In virtual time its sources are recordings;
 * in real time they are live and a person types while it runs.
 */
export async function runRandomSession(options: RandomSession): Promise<SessionSummary> {
  const { seed, clock, model, observers, durationMs } = options;
  const recorded = clock instanceof VirtualClock;
  const keys = new PassThrough();
  const some = random(seed + 1000);
  const session = new Session({
    clock,
    model: slowModel(model, clock),
    sources: [
      new FakeMicrophone({ chunks: noise(seed, durationMs), recorded, latencyMs: () => 40 * some() }),
      new NoiseCamera(seed, durationMs, recorded),
      new Keyboard(keys),
    ],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers,
    durationMs,
    log: SILENT_LOG,
  });
  const ended = new AbortController();
  const typing = type(keys, clock, some, ended.signal);
  const summary = await session.run();
  ended.abort();
  await typing;
  return summary;
}

async function type(keys: PassThrough, clock: Clock, some: () => number, signal: AbortSignal): Promise<void> {
  try {
    for (let timeMs = 100 * some(); ; timeMs += 900 * some()) {
      await clock.sleepUntil(timeMs, signal);
      keys.write(`count ${Math.floor(1000 * some())} of them\n`);
    }
  } catch {
    keys.end();
  }
}
