import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { Program } from "../media/child.ts";
import { endedEarly } from "../media/ended-early.ts";
import { FFMPEG_REMEDY, probe } from "../media/probe.ts";

const PART = "file microphone";
/**
 * The sound of a file as a microphone: any sound or video file that ffmpeg reads, mixed to mono and brought to the
 * model's rate. Sound that begins after the pictures, or is missing in the middle, leaves silence in its place.
 * Fails as the file camera does.
 */
export class FileMicrophone implements Source {
  readonly kind = "audio";
  readonly recorded = true;
  readonly name: string;
  readonly #path: string;
  readonly #sampleRateHz: number;

  constructor(path: string, sampleRateHz: number) {
    this.#path = path;
    this.#sampleRateHz = sampleRateHz;
    this.name = `${PART} ${path}`;
  }

  async *open(_clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const { audio } = await probe(PART, this.#path, signal);
    if (!audio) throw this.#fault("holds no sound", "Leave --microphone out for a silent video");
    const program = new Program({
      part: PART,
      command: "ffmpeg",
      args: this.#arguments(audio.channels),
      remedy: FFMPEG_REMEDY,
      signal,
    });
    const sampleRateHz = this.#sampleRateHz;
    let given = 0;
    const nowMs = () => (given / sampleRateHz) * 1000;
    try {
      for await (const samples of floatsOf(program.stdout)) {
        yield { kind: "audio", captureMs: nowMs(), sampleRateHz, samples };
        given += samples.length;
      }
      const status = await program.ended;
      const { complaint } = program;
      if (signal.aborted) return;
      if (given === 0)
        throw this.#fault("holds no sound that can be decoded", "Check the file with a player");
      const fault = endedEarly({ part: PART, path: this.#path, atMs: nowMs(), ...audio, status, complaint });
      if (fault) throw fault;
    } finally {
      program.kill();
    }
  }

  #arguments(channels: number): string[] {
    const form = ["-ac", "1", "-ar", String(this.#sampleRateHz), "-f", "f32le"];
    // The mean of the channels ("<" makes the weights sum to 1): ffmpeg's own mix would be louder and could clip.
    const mono = `pan=mono|c0<${Array.from({ length: channels }, (_, channel) => `c${channel}`).join("+")}`;
    // Time without samples becomes silence, from the file's beginning on, so that sound stays with its pictures.
    const inPlace = ["-af", `${mono},aresample=async=1:first_pts=0`];
    const input = ["-nostdin", "-v", "error", "-i", `file:${this.#path}`, "-map", "0:a:0"];
    return [...input, ...inPlace, ...form, "pipe:1"];
  }

  #fault(problem: string, remedy: string): RuntimeError {
    return new RuntimeError("invalid-media", { part: PART, problem: `${this.#path} ${problem}`, remedy });
  }
}

/** Reads little-endian f32 samples as they arrive. */
async function* floatsOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Float32Array> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    const whole = bytes.length - (bytes.length % 4);
    const samples = new Float32Array(whole / 4);
    for (let i = 0; i < samples.length; i++) samples[i] = bytes.readFloatLE(4 * i);
    bytes = bytes.subarray(whole);
    if (samples.length > 0) yield samples;
  }
}
