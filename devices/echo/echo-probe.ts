import type { Clock } from "../../src/core/clock.ts";
import type { Source, Speaker, Speech } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { CancelledMicrophone } from "./cancelled-microphone.ts";
import { powerDb } from "./power.ts";
import { ReferenceTrack } from "./reference-track.ts";
import { TappedSpeaker } from "./tapped-speaker.ts";

/** Noise first: an amplifier or a sound server that wakes up swallows or tears what it is given first. */
const WAKE_MS = 700;
/** The chirp whose echo tells delay and level; then noise for the canceller to learn from. Levels are peaks. */
const CHIRP = { lengthMs: 600, fromHz: 300, toHz: 4000, level: 0.25 };
const NOISE = { lengthMs: 3500, level: 0.2 };
/** The noise is played in pieces of this length, as many as the speaker's queue takes. */
const PIECE_MS = 350;
const QUIET_MS = 300;
/** Delays that are looked for, ms: stamps of two devices may be off, so that an echo seems to come before its sound. */
const DELAYS = { fromMs: -60, toMs: 400 };
/** A correlation this many times the median is the echo's: the largest of some thousands of noise is six times it. */
const CLEAR = 12;
/** A microphone that has not given the probe's length by then, ms after its end, gives nothing. */
const PATIENCE_MS = 3000;
/** An echo later than this is not found by the canceller. */
const LATEST_MS = 250;
const ENOUGH_DB = 15;

/** What a start-up self-test has measured. */
export interface EchoReport {
  /** From the sound to its echo, ms; null if no echo was heard. */
  delayMs: number | null;
  /** How much fainter the echo reaches the microphone than it was played, dB (echo return loss). */
  returnLossDb: number | null;
  /** How much fainter the canceller makes it (echo return loss enhancement), dB. */
  enhancementDb: number | null;
}

export interface EchoProbeOptions {
  microphone: Source;
  speaker: Speaker;
  /** The microphone's rate. */
  sampleRateHz: number;
  /** Started by the probe; not a session's. */
  clock: Clock;
}

/**
 * Plays noise with a chirp in it, five seconds in all, and measures what the microphone hears of it, without and with
 * echo cancellation. Opens both for as long.
 *
 * @throws RuntimeError "device-unavailable" if one of them does not work; the signal's reason.
 */
export async function measureEcho(options: EchoProbeOptions, signal: AbortSignal): Promise<EchoReport> {
  const { microphone, speaker, sampleRateHz, clock } = options;
  const played = new ReferenceTrack(sampleRateHz);
  const lengthMs = 2 * QUIET_MS + WAKE_MS + CHIRP.lengthMs + NOISE.lengthMs;
  const raw = new Float32Array(Math.round((lengthMs / 1000) * sampleRateHz));
  const recorder = new CancelledMicrophone(listenedTo(microphone, raw), played);
  const tapped = new TappedSpeaker(speaker, played);
  const end = new AbortController();
  const stop = AbortSignal.any([signal, end.signal]);
  await Promise.all([recorder.prepare(stop), tapped.states?.prepare?.(stop)]);
  clock.start();
  const running = tapped.states ? drain(tapped.states, clock, stop) : Promise.resolve();
  clock.sleepUntil(lengthMs + PATIENCE_MS, stop).then(
    () => end.abort(),
    () => {
      // The probe was over before.
    },
  );
  const playing = playProbe(tapped, sampleRateHz, clock, stop);
  let enhancementDb: number | null = null;
  let heardMs = 0;
  for await (const item of recorder.open(clock, stop)) {
    if (item.kind !== "audio") continue;
    ({ enhancementDb } = recorder);
    heardMs = item.captureMs + (item.samples.length / sampleRateHz) * 1000;
    if (heardMs >= lengthMs) break;
  }
  end.abort();
  const chirpMs = await playing;
  await running;
  signal.throwIfAborted();
  if (heardMs < lengthMs) {
    throw new RuntimeError("device-unavailable", {
      part: "echo self-test",
      problem: `${microphone.name} gave ${heardMs.toFixed(0)} ms of sound, expected ${lengthMs}`,
      remedy: "See microturn doctor",
    });
  }
  const echo = chirpMs === null ? null : findEcho(raw, sampleRateHz, chirpMs);
  return { delayMs: null, returnLossDb: null, ...echo, enhancementDb: echo === null ? null : enhancementDb };
}

/** Why an open microphone beside an open speaker would hear itself, or null if it would not. */
export function echoFault({ delayMs, enhancementDb }: EchoReport): string | null {
  if (delayMs === null) return null;
  if (delayMs > LATEST_MS)
    return `the echo comes after ${delayMs.toFixed(0)} ms, expected at most ${LATEST_MS}`;
  if (enhancementDb === null || enhancementDb < ENOUGH_DB) {
    return `the echo is made ${(enhancementDb ?? 0).toFixed(0)} dB fainter, expected at least ${ENOUGH_DB}`;
  }
  return null;
}

/** @returns session time at which the chirp began to sound, ms; null if it did not. */
async function playProbe(
  speaker: Speaker,
  sampleRateHz: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<number | null> {
  const playNoise = async (lengthMs: number) => {
    for (let givenMs = 0; givenMs < lengthMs; givenMs += PIECE_MS) {
      signal.throwIfAborted();
      await speaker.play("", noise(sampleRateHz)).finished;
    }
  };
  let started: Promise<number | null> = Promise.resolve(null);
  try {
    await clock.sleepUntil(QUIET_MS, signal);
    await playNoise(WAKE_MS);
    const chirp = speaker.play("", { sampleRateHz, samples: chirpSamples(sampleRateHz) });
    ({ started } = chirp);
    await chirp.finished;
    await playNoise(NOISE.lengthMs);
  } catch (fault) {
    // Enough has been heard before all was played: a sound server may stand still for a while.
    if (!signal.aborted) throw fault;
  }
  return started;
}

/** A live speaker works while its states are taken. */
async function drain(states: Source, clock: Clock, signal: AbortSignal): Promise<void> {
  for await (const _ of states.open(clock, signal)) signal.throwIfAborted();
}

/** The microphone as it is, written down in `into`, a sample at its place in session time. */
function listenedTo(microphone: Source, into: Float32Array): Source {
  return {
    name: microphone.name,
    kind: microphone.kind,
    recorded: microphone.recorded,
    async *open(clock, signal) {
      for await (const item of microphone.open(clock, signal)) {
        if (item.kind === "audio") {
          const at = Math.round((item.captureMs / 1000) * item.sampleRateHz);
          for (let i = Math.max(0, -at); i < item.samples.length && at + i < into.length; i++) {
            into[at + i] = item.samples[i]!;
          }
        }
        yield item;
      }
    },
  };
}

function chirpSamples(sampleRateHz: number): Float32Array {
  const { lengthMs, fromHz, toHz, level } = CHIRP;
  const seconds = lengthMs / 1000;
  return Float32Array.from({ length: Math.round(seconds * sampleRateHz) }, (_, n) => {
    const t = n / sampleRateHz;
    return level * Math.sin(2 * Math.PI * (fromHz + ((toHz - fromHz) * t) / (2 * seconds)) * t);
  });
}

function noise(sampleRateHz: number): Speech {
  const samples = Float32Array.from({ length: Math.round((PIECE_MS / 1000) * sampleRateHz) }, () => {
    return NOISE.level * (2 * Math.random() - 1);
  });
  return { sampleRateHz, samples };
}

/** Finds the chirp, played at `chirpMs`, in what was heard; null if nothing stands out. */
function findEcho(
  heard: Float32Array,
  sampleRateHz: number,
  chirpMs: number,
): { delayMs: number; returnLossDb: number } | null {
  const chirp = chirpSamples(sampleRateHz);
  const toSamples = (ms: number) => Math.round((ms / 1000) * sampleRateHz);
  const start = toSamples(chirpMs);
  const magnitudes: number[] = [];
  let best = { lag: 0, magnitude: 0 };
  for (let lag = toSamples(DELAYS.fromMs); lag <= toSamples(DELAYS.toMs); lag++) {
    let sum = 0;
    for (let i = 0; i < chirp.length; i++) sum += chirp[i]! * (heard[start + lag + i] ?? 0);
    const magnitude = Math.abs(sum);
    magnitudes.push(magnitude);
    if (magnitude > best.magnitude) best = { lag, magnitude };
  }
  const usual = magnitudes.sort((a, b) => a - b)[Math.floor(magnitudes.length / 2)]!;
  if (best.magnitude === 0 || best.magnitude < CLEAR * usual) return null;
  const from = start + best.lag;
  const echo = heard.subarray(from, from + chirp.length);
  return { delayMs: (best.lag / sampleRateHz) * 1000, returnLossDb: powerDb(chirp) - powerDb(echo) };
}
