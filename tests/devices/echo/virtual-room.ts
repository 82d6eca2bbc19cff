import { ReferenceTrack } from "../../../devices/echo/reference-track.ts";
import { TappedSpeaker } from "../../../devices/echo/tapped-speaker.ts";
import { ClockedSpeaker } from "../../../devices/speaker/clocked-speaker.ts";
import type { Clock } from "../../../src/core/clock.ts";
import type { Captured, Source, Speaker } from "../../../src/core/device.ts";

/** As the tools give sound, ms, and how late they do. */
const [CHUNK_MS, LATE_MS] = [10, 3];

export interface RoomOptions {
  sampleRateHz: number;
  /** Time of the direct sound from speaker to microphone, ms. */
  delayMs: number;
  /** Level of the direct sound; reflections follow, decaying. */
  gain: number;
  /** What a person says in the room: sample n of the session. Default silence. */
  person?: (n: number) => number;
  /** How long the microphone listens, ms. */
  lengthMs: number;
}

/** One speaker and one microphone in a room that exists in session time only. */
export class VirtualRoom {
  readonly speaker: Speaker;
  readonly microphone: Source;

  constructor(clock: Clock, options: RoomOptions) {
    const air = new ReferenceTrack(options.sampleRateHz);
    this.speaker = new TappedSpeaker(new ClockedSpeaker("room speaker", clock), air);
    this.microphone = {
      kind: "audio",
      name: "room microphone",
      recorded: false,
      open: (clock, signal) => listen(air, options, clock, signal),
    };
  }
}

async function* listen(
  air: ReferenceTrack,
  options: RoomOptions,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Captured> {
  const { sampleRateHz, delayMs, gain, lengthMs, person = () => 0 } = options;
  const reflections = [
    [0, 1],
    [3.1, 0.5],
    [7.4, -0.35],
    [12.9, 0.25],
    [21.3, 0.15],
    [34.7, -0.08],
  ] as const;
  const count = (CHUNK_MS / 1000) * sampleRateHz;
  for (let chunk = 0; chunk * CHUNK_MS < lengthMs && !signal.aborted; chunk++) {
    await clock.sleepUntil((chunk + 1) * CHUNK_MS + LATE_MS, signal);
    const samples = new Float32Array(count);
    for (const [afterMs, level] of reflections) {
      const arriving = air.read(chunk * CHUNK_MS - delayMs - afterMs, count);
      for (let i = 0; i < count; i++) samples[i]! += gain * level * arriving[i]!;
    }
    for (let i = 0; i < count; i++) samples[i]! += person(chunk * count + i);
    yield { kind: "audio", captureMs: chunk * CHUNK_MS, sampleRateHz, samples };
  }
}
