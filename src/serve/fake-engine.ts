import { expectLength } from "../core/errors.ts";
import { type DuplexEngine, type DuplexSession, FRAME_SAMPLES, type Reply } from "./session.ts";

/** A word every so many frames: one a second. */
const FRAMES_PER_WORD = 12;

/**
 * A model that repeats what it hears one frame later, and counts the seconds as text: for trying a client, a microphone
 * and a network without a checkpoint.
 */
export class FakeEngine implements DuplexEngine {
  readonly name = "fake";

  open(): Promise<DuplexSession> {
    return Promise.resolve(new Echo());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class Echo implements DuplexSession {
  readonly inEffect = {};
  #heard: Float32Array | null = null;
  #frames = 0;

  step(pcm: Float32Array): Promise<Reply> {
    expectLength("fake engine", "pcm", pcm.length, FRAME_SAMPLES);
    const reply = this.#heard;
    this.#heard = pcm.slice();
    const word = this.#frames % FRAMES_PER_WORD === 0 ? ` ${this.#frames / FRAMES_PER_WORD}` : "";
    this.#frames++;
    return Promise.resolve({ pcm: reply, text: word });
  }

  reset(): Promise<void> {
    this.#heard = null;
    this.#frames = 0;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
