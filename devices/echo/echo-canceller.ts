import loadAec3, { type WebRtcAec3 } from "@ennuicastr/webrtcaec3.js";
import type { AudioChunk } from "../../src/core/micro-turn.ts";
import { power } from "./power.ts";
import type { ReferenceTrack } from "./reference-track.ts";

/** Rate at which AEC3 works inside, Hz: 32000 or 48000; the lower costs half and carries all that a model hears. */
const AEC3_RATE_HZ = 32_000;
/**
 * An echo must come after its sound. Stamps of two devices may be off by some milliseconds either way, so the sound is
 * said to be this much older than its stamp, ms.
 */
export const LEAD_MS = 20;
/** Echo return loss enhancement is averaged over about this long, ms. */
const LEVEL_MS = 1000;
/** Where something louder than this was played, -60 dBFS, there is echo... */
const AUDIBLE_POWER = 1e-6;
/** ...for this long, ms. */
const ECHO_MS = 250;

/**
 * Takes what a speaker plays out of what a microphone hears: WebRTC's AEC3 over a session's clock. It finds the delay of
 * the echo itself, up to about 250 ms after the sound, and follows it.
 */
export class EchoCanceller {
  readonly #aec: InstanceType<WebRtcAec3["AEC3"]>;
  readonly #reference: ReferenceTrack;
  readonly #lagMs: number;
  #powerBefore = 0;
  #powerAfter = 0;

  private constructor(aec: InstanceType<WebRtcAec3["AEC3"]>, reference: ReferenceTrack, lagMs: number) {
    this.#aec = aec;
    this.#reference = reference;
    this.#lagMs = lagMs;
  }

  /** @param reference what the speaker plays, at the microphone's rate. */
  static async create(reference: ReferenceTrack): Promise<EchoCanceller> {
    const { AEC3 } = await loadAec3();
    const probe = new AEC3(AEC3_RATE_HZ, 1, 1);
    const lagMs = measureLagMs(probe, reference.sampleRateHz);
    probe.free();
    return new EchoCanceller(new AEC3(AEC3_RATE_HZ, 1, 1), reference, lagMs);
  }

  /**
   * By how much the echo of late was made fainter, dB; null while nothing has been played. Speech of a person meanwhile
   * makes it look worse than it is.
   */
  get enhancementDb(): number | null {
    if (this.#powerBefore === 0) return null;
    return 10 * Math.log10(this.#powerBefore / Math.max(this.#powerAfter, Number.MIN_VALUE));
  }

  /**
   * One chunk of the microphone, in order, without the echo: as many samples, stamped earlier by the filter's own lag.
   * What was played up to LEAD_MS after the chunk's end must be on the reference track by now.
   */
  cancel(chunk: AudioChunk): AudioChunk {
    const { captureMs, sampleRateHz, samples } = chunk;
    const played = this.#reference.read(captureMs + LEAD_MS, samples.length);
    const cleaned = process(this.#aec, played, samples, sampleRateHz);
    this.#noteLevels(chunk, cleaned);
    return { captureMs: captureMs - this.#lagMs, sampleRateHz, samples: cleaned };
  }

  close(): void {
    this.#aec.free();
  }

  #noteLevels({ captureMs, sampleRateHz, samples }: AudioChunk, cleaned: Float32Array): void {
    const echoing = samples.length + Math.round((ECHO_MS / 1000) * sampleRateHz);
    if (this.#reference.power(captureMs - ECHO_MS, echoing) < AUDIBLE_POWER) return;
    const share = Math.min(1, ((samples.length / sampleRateHz) * 1000) / LEVEL_MS);
    this.#powerBefore += share * (power(samples) - this.#powerBefore);
    this.#powerAfter += share * (power(cleaned) - this.#powerAfter);
  }
}

function process(
  aec: InstanceType<WebRtcAec3["AEC3"]>,
  played: Float32Array,
  heard: Float32Array,
  sampleRateHz: number,
): Float32Array {
  const rates = { sampleRateIn: sampleRateHz, sampleRateOut: sampleRateHz };
  aec.analyze([played], rates);
  const out = new Float32Array(aec.processSize([heard], rates));
  aec.process([out], [heard], rates);
  return out;
}

/** How much later a sound leaves a canceller than it went in, ms: its filter banks and resamplers. */
function measureLagMs(aec: InstanceType<WebRtcAec3["AEC3"]>, sampleRateHz: number): number {
  const block = sampleRateHz / 20;
  const heard = new Float32Array(10 * block);
  const at = 5 * block;
  // A chirp's autocorrelation has one peak.
  for (let i = 0; i < 2 * block; i++) heard[at + i] = 0.5 * Math.sin((0.05 + 0.4 * (i / block)) * i);
  const out = new Float32Array(heard.length);
  for (let from = 0; from < heard.length; from += block) {
    out.set(process(aec, new Float32Array(block), heard.slice(from, from + block), sampleRateHz), from);
  }
  let lag = 0;
  let largest = 0;
  for (let candidate = 0; candidate < 2 * block; candidate++) {
    let sum = 0;
    for (let i = at; i < at + 2 * block; i++) sum += heard[i]! * (out[i + candidate] ?? 0);
    if (sum > largest) [lag, largest] = [candidate, sum];
  }
  return (lag / sampleRateHz) * 1000;
}
