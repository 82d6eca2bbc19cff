import type { Clock } from "../../core/clock.ts";
import type { Captured, Source } from "../../core/device.ts";

const CHUNK_MS = 100;

/** A microphone that hears silence, from `startMs` on a clip, and silence again until `totalMs`. */
export class PaddedMicrophone implements Source {
  readonly name: string;
  readonly kind = "audio";
  readonly recorded = true;
  readonly #clip: Source | null;
  readonly #startMs: number;
  readonly #totalMs: number;
  readonly #sampleRateHz: number;

  /** @param options.clip null for silence alone. Its sound comes in order from capture time 0 on. */
  constructor(options: { clip: Source | null; startMs: number; totalMs: number; sampleRateHz: number }) {
    this.name = options.clip?.name ?? "silence";
    this.#clip = options.clip;
    this.#startMs = options.startMs;
    this.#totalMs = options.totalMs;
    this.#sampleRateHz = options.sampleRateHz;
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncIterable<Captured> {
    let heardMs = 0;
    if (this.#clip !== null) {
      yield* this.#silence(0, this.#startMs);
      heardMs = this.#startMs;
      for await (const item of this.#clip.open(clock, signal)) {
        if (item.kind !== "audio") continue;
        const captureMs = item.captureMs + this.#startMs;
        yield { ...item, captureMs };
        heardMs = captureMs + (item.samples.length * 1000) / item.sampleRateHz;
      }
    }
    yield* this.#silence(heardMs, this.#totalMs);
  }

  *#silence(fromMs: number, toMs: number): Iterable<Captured> {
    for (let captureMs = fromMs; captureMs < toMs; captureMs += CHUNK_MS) {
      const lengthMs = Math.min(CHUNK_MS, toMs - captureMs);
      const samples = new Float32Array(Math.round((lengthMs * this.#sampleRateHz) / 1000));
      yield { kind: "audio", captureMs, sampleRateHz: this.#sampleRateHz, samples };
    }
  }
}
