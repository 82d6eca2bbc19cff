import { closeSync, openSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { extname } from "node:path";
import type { Clock } from "../../src/core/clock.ts";
import type { Playback, Speaker, Speech } from "../../src/core/device.ts";
import { messageOf, RuntimeError } from "../../src/core/errors.ts";
import { MAX_WAV_DATA_BYTES, toPcm16, WAV_HEAD_BYTES, wavHead } from "../media/wav.ts";
import { ClockedSpeaker } from "./clocked-speaker.ts";

/** The rate of a file in which nothing was ever said. */
const SILENT_RATE_HZ = 22_050;

/**
 * A WAV file (mono, 16-bit, the voice's rate) of what a listener would have heard: second s of the file is second s
 * of the session. Written beside its place as PATH.part while the session runs, and renamed when it is whole.
 */
export class WavSpeaker implements Speaker {
  readonly name: string;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #sound: ClockedSpeaker;
  #file: FileHandle | null = null;
  #sampleRateHz: number | null = null;
  #failure: RuntimeError | null = null;

  /**
   * @param path ends in .wav, or has no extension.
   * @throws RuntimeError "invalid-argument" for another extension, whose players would not find what it promises;
   *   "output-failed" if a file cannot be made there: better now than after the session.
   */
  constructor(path: string, clock: Clock) {
    this.name = `WAV speaker ${path}`;
    if (!["", ".wav"].includes(extname(path).toLowerCase())) {
      const problem = `${path}: what is written is WAV`;
      throw new RuntimeError("invalid-argument", { part: "speaker", problem, remedy: "Name it PATH.wav" });
    }
    this.#path = path;
    this.#clock = clock;
    try {
      closeSync(openSync(this.#partPath, "w"));
    } catch (cause) {
      throw this.#fault(cause);
    }
    this.#sound = new ClockedSpeaker(this.name, clock, (speech, startMs) => this.#write(speech, startMs));
  }

  play(text: string, speech: Speech): Playback {
    return this.#sound.play(text, speech);
  }

  flush(): void {
    this.#sound.flush();
  }

  async close(): Promise<void> {
    await this.#sound.close();
    if (this.#failure) throw this.#failure;
    const sampleRateHz = this.#sampleRateHz ?? SILENT_RATE_HZ;
    const dataBytes = 2 * Math.round((this.#clock.nowMs() / 1000) * sampleRateHz);
    await this.#guarded(async () => {
      const file = await this.#opened();
      // Silence to the session's end, without cutting a last phrase that ends a rounding later.
      const { size } = await file.stat();
      const endBytes = Math.max(dataBytes, size - WAV_HEAD_BYTES);
      await file.truncate(WAV_HEAD_BYTES + endBytes);
      await file.write(wavHead(sampleRateHz, endBytes), 0, WAV_HEAD_BYTES, 0);
      await file.sync();
      await this.#closeFile();
      await rename(this.#partPath, this.#path);
    });
  }

  async discard(): Promise<void> {
    await this.#sound.discard();
    await this.#remove();
  }

  async #write(speech: Speech, startMs: number): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.#sampleRateHz ??= speech.sampleRateHz;
    const sampleRateHz = this.#sampleRateHz;
    await this.#guarded(async () => {
      if (speech.sampleRateHz !== sampleRateHz) {
        throw new Error(`the voice changed from ${sampleRateHz} to ${speech.sampleRateHz} Hz`);
      }
      const file = await this.#opened();
      const at = 2 * Math.round((startMs / 1000) * sampleRateHz);
      const pcm = toPcm16(speech.samples);
      if (at + pcm.length > MAX_WAV_DATA_BYTES) throw new Error("a WAV file holds 4 GiB at most");
      // The hole between two phrases reads as zeros: silence.
      for (let done = 0; done < pcm.length; ) {
        done += (await file.write(pcm, done, pcm.length - done, WAV_HEAD_BYTES + at + done)).bytesWritten;
      }
    });
  }

  async #opened(): Promise<FileHandle> {
    this.#file ??= await open(this.#partPath, "r+");
    return this.#file;
  }

  get #partPath(): string {
    return `${this.#path}.part`;
  }

  /** Runs `work` on the file; if it fails, the file is taken back and the speaker is broken for good. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      await this.#remove();
      this.#failure = this.#fault(cause);
      throw this.#failure;
    }
  }

  #fault(cause: unknown): RuntimeError {
    return new RuntimeError("output-failed", {
      part: "WAV speaker",
      problem: `cannot write ${this.#path} (${messageOf(cause)})`,
      remedy: "Check that its folder exists and may be written, and that the disk has room",
      cause,
    });
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #remove(): Promise<void> {
    // The fault that led here is the one to report; a second one of closing adds nothing.
    await this.#closeFile().catch(() => {});
    await rm(this.#partPath, { force: true });
  }
}
