import type { Clock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { EchoCanceller, LEAD_MS } from "./echo-canceller.ts";
import type { ReferenceTrack } from "./reference-track.ts";

/** What is playing is on the reference track this much after it began to sound, ms. */
const SETTLED_MS = 5;

/** A live microphone that does not hear the speaker whose sound is on `reference`. */
export class CancelledMicrophone implements Source {
  readonly kind = "audio";
  readonly recorded = false;
  readonly name: string;
  readonly #microphone: Source;
  readonly #reference: ReferenceTrack;
  #canceller: EchoCanceller | null = null;

  constructor(microphone: Source, reference: ReferenceTrack) {
    this.name = microphone.name;
    this.#microphone = microphone;
    this.#reference = reference;
  }

  /** By how much the echo of late was made fainter, dB; null while there was none. */
  get enhancementDb(): number | null {
    return this.#canceller?.enhancementDb ?? null;
  }

  async prepare(signal: AbortSignal): Promise<void> {
    this.#canceller = await EchoCanceller.create(this.#reference);
    await this.#microphone.prepare?.(signal);
  }

  async *open(clock: Clock, signal: AbortSignal): AsyncGenerator<Captured> {
    const canceller = this.#canceller ?? (await clock.during(EchoCanceller.create(this.#reference)));
    this.#canceller = canceller;
    try {
      for await (const item of this.#microphone.open(clock, signal)) {
        if (item.kind !== "audio") {
          yield item;
          continue;
        }
        const endMs = item.captureMs + (item.samples.length / item.sampleRateHz) * 1000;
        await clock.sleepUntil(endMs + LEAD_MS + SETTLED_MS, signal);
        yield { kind: "audio", ...canceller.cancel(item) };
      }
    } catch (fault) {
      if (!signal.aborted) throw fault;
    } finally {
      this.#canceller = null;
      canceller.close();
    }
  }
}
