import { FRAME_SAMPLES } from "./session.ts";
import type { SoundDecoder, SoundFaults } from "./sound.ts";

/** Bytes of audio messages that may wait; past that the client's socket is not read. Some 16 s of Opus, 1.4 s of PCM. */
const MAX_WAITING_BYTES = 65_536;
/** What holding a message costs beside its bytes: it keeps a flood of tiny ones within the bound. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** Reads without a whole frame after which everything else in the process has its turn. */
const READS_PER_TURN = 16;

/**
 * The sound of one client on its way to the model, cut into frames. Nothing of it is ever dropped: when more waits than
 * it may hold, it says so (`full`), and whoever fills it stops reading from the network, so that the client is slowed
 * down by the transport itself.
 */
export class FrameQueue {
  readonly #decoder: SoundDecoder;
  /** Payloads not yet given to the decoder, and what they cost. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #samples = new Float32Array(FRAME_SAMPLES);
  #filled = 0;
  /** What a read gave beyond the frame that it completed. */
  #rest: Float32Array = new Float32Array(0);

  constructor(decoder: SoundDecoder) {
    this.#decoder = decoder;
  }

  get full(): boolean {
    return this.#waitingBytes >= MAX_WAITING_BYTES;
  }

  get faults(): SoundFaults {
    return this.#decoder.faults;
  }

  push(payload: Uint8Array): void {
    this.#waiting.push(payload);
    this.#waitingBytes += payload.length + MESSAGE_OVERHEAD_BYTES;
  }

  /**
   * The next frame, or null if there is not enough sound for one.
   *
   * @returns (FRAME_SAMPLES) f32, valid until the next call.
   */
  async next(signal: AbortSignal): Promise<Float32Array | null> {
    for (let reads = 1; !signal.aborted; reads++) {
      this.#take(this.#rest);
      if (this.#filled === FRAME_SAMPLES) {
        this.#filled = 0;
        return this.#samples;
      }
      const samples = await this.#decoder.read();
      if (samples !== null) this.#rest = samples;
      else if (!this.#feed()) return null;
      // The decoder's promises settle without giving way to timers and sockets.
      if (reads % READS_PER_TURN === 0) await new Promise(setImmediate);
    }
    return null;
  }

  close(): void {
    this.#decoder.close();
  }

  #take(samples: Float32Array): void {
    const taken = Math.min(samples.length, FRAME_SAMPLES - this.#filled);
    this.#samples.set(samples.subarray(0, taken), this.#filled);
    this.#filled += taken;
    this.#rest = samples.subarray(taken);
  }

  /** Gives the decoder what waits; false if there is nothing. */
  #feed(): boolean {
    if (this.#waiting.length === 0) return false;
    for (const payload of this.#waiting) this.#decoder.push(payload);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return true;
  }
}
