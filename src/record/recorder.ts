import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../core/clock.ts";
import type { Speech } from "../core/device.ts";
import { messageOf, RuntimeError } from "../core/errors.ts";
import type { VideoFrame } from "../core/micro-turn.ts";
import { CHANNELS } from "./channels.ts";
import { FORMAT, HEAD_NAME, headToMetadata, type RecordedEvent, type RecordingHead } from "./format.ts";
import { McapFile } from "./mcap-file.ts";
import { type FinishedStep, type KeptStep, keepStep, keptBytes, MessageWriter } from "./messages.ts";
import { loadSharp } from "./picture.ts";
import { FinishedSegments, segmentPath, segmentsOf } from "./segments.ts";

/** What waits is on disk after this at the latest, ms of machine time: half a second for the timer, half for the disk. */
const FLUSH_MS = 500;
/** A chunk is closed at this size, however young. */
const CHUNK_BYTES = 1024 * 1024;
/** What may wait for a slow disk: a minute of a session with a camera. Beyond it the recording stops. */
const QUEUE_BYTES = 32 * 1024 * 1024;
/** What an item without sound or pictures is counted as. */
const ITEM_BYTES = 1024;
/** Files that a recording is cut into when it comes near its bound, so that an eighth of it goes at a time. */
const SEGMENTS = 8;

export interface RecorderOptions {
  /** Where the recording begins; later files have their number before the ending. */
  path: string;
  head: Pick<RecordingHead, "profile" | "model" | "checkpoint">;
  /** Rate of the sound in a step's inputs, Hz; null if the model is deaf. */
  sampleRateHz: number | null;
  /** Bound for all files of the recording together, bytes; the oldest go first. */
  limitBytes: number;
  /** The model's, if it has one. */
  reduceFrame?: (frame: VideoFrame) => VideoFrame;
  /** The session's. In virtual time the session waits for the writing, in real time never. */
  clock: Clock;
  /** Told once if the recording had to stop early. The session goes on. */
  onStop: (fault: RuntimeError) => void;
}

type Item =
  | { kind: "step"; step: KeptStep }
  | { kind: "event"; event: RecordedEvent }
  | { kind: "spoken"; startMs: number; speech: Speech }
  | { kind: "flush" };

/**
 * Writes a session to MCAP files beside its path: the calls copy what they are given into a bounded queue, and never wait
 * or throw. Every half second what has come is written out, so that a process killed at any moment leaves a file that
 * can be read up to its last second.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #head: RecordingHead;
  readonly #messages: MessageWriter;
  readonly #queue: { item: Item; sizeBytes: number }[] = [];
  readonly #finished = new FinishedSegments();
  #file: McapFile;
  #segment = 0;
  #queuedBytes = 0;
  #draining: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #fault: RuntimeError | null = null;

  private constructor(options: RecorderOptions, head: RecordingHead, originMs: number, file: McapFile) {
    this.#options = options;
    this.#head = head;
    this.#messages = new MessageWriter(originMs);
    this.#file = file;
    this.#timer = setInterval(() => this.#push({ kind: "flush" }, 0), FLUSH_MS);
    this.#timer.unref();
  }

  /**
   * Makes the first file. The session's clock is best started soon after: wall time is taken here.
   * @throws RuntimeError "invalid-argument" if there is a recording of that name, "output-failed" if none can be made.
   */
  static async open(options: RecorderOptions): Promise<Recorder> {
    const { path } = options;
    if ((await segmentsOf(path)).length > 0) {
      throw new RuntimeError("invalid-argument", {
        part: "recording",
        problem: `there is a recording ${path} already`,
        remedy: "Give another name, or move it away",
      });
    }
    const originMs = Date.now() - options.clock.nowMs();
    const head: RecordingHead = {
      format: FORMAT,
      session: randomUUID(),
      segment: 0,
      startedAt: new Date(originMs).toISOString(),
      ...options.head,
    };
    try {
      await mkdir(dirname(path), { recursive: true });
      // Now rather than in mid-session.
      await loadSharp();
      const file = await McapFile.create(path, CHANNELS, metadataOf(head));
      return new Recorder(options, head, originMs, file);
    } catch (cause) {
      throw writeFault(path, cause);
    }
  }

  /** What waits to be written, bytes. */
  get waitingBytes(): number {
    return this.#queuedBytes;
  }

  /** Takes in a step. What it borrows is copied. */
  step(step: FinishedStep): void {
    if (this.#fault !== null) return;
    const { reduceFrame } = this.#options;
    const inputs = reduceFrame
      ? step.inputs.map((input) => ({ ...input, frames: input.frames.map((frame) => reduceFrame(frame)) }))
      : step.inputs;
    const kept = keepStep({ ...step, inputs });
    this.#push({ kind: "step", step: kept }, keptBytes(kept));
  }

  event(event: RecordedEvent): void {
    this.#push({ kind: "event", event }, 0);
  }

  /** Takes in what was heard of a phrase. `speech` is kept. */
  spoken(startMs: number, speech: Speech): void {
    this.#push({ kind: "spoken", startMs, speech }, speech.samples.byteLength);
  }

  /** Writes what waits and finishes the file. Never throws: a fault goes to `onStop`, as any other. */
  async close(): Promise<void> {
    this.#stopTimer();
    await this.#draining;
    if (this.#fault !== null) return;
    await this.#file.finish().catch((cause) => this.#stop(writeFault(this.#path, cause)));
  }

  get #path(): string {
    return segmentPath(this.#options.path, this.#segment);
  }

  #push(item: Item, sizeBytes: number): void {
    if (this.#fault !== null) return;
    this.#queue.push({ item, sizeBytes: sizeBytes + ITEM_BYTES });
    this.#queuedBytes += sizeBytes + ITEM_BYTES;
    if (this.#queuedBytes > QUEUE_BYTES) {
      this.#fault = new RuntimeError("output-failed", {
        part: "recording",
        problem: `${this.#path} is written more slowly than the session goes on; it ends here`,
        remedy: "Record to a faster disk",
      });
    }
    if (this.#draining !== null) return;
    this.#draining = this.#drain();
    // In virtual time a session would outrun the disk.
    void this.#options.clock.during(this.#draining);
  }

  /** Writes item by item until the queue is empty or a fault ends the recording. Never rejects. */
  async #drain(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
        await this.#write(next.item);
        this.#queuedBytes -= next.sizeBytes;
        if (this.#fault !== null) break;
      }
    } catch (cause) {
      this.#fault ??= writeFault(this.#path, cause);
    }
    if (this.#fault !== null) await this.#stop(this.#fault);
    // In the turn that found the queue empty: an item that comes in the next one starts anew.
    this.#draining = null;
  }

  async #write(item: Item): Promise<void> {
    switch (item.kind) {
      case "step":
        for (const message of await this.#messages.step(item.step, this.#options.sampleRateHz ?? 0))
          this.#file.add(message);
        break;
      case "event":
        this.#file.add(this.#messages.event(item.event));
        break;
      case "spoken": {
        const { samples, sampleRateHz } = item.speech;
        this.#file.add(this.#messages.spoken(item.startMs, samples, sampleRateHz));
        break;
      }
      case "flush":
        await this.#file.flush();
        break;
      default:
        item satisfies never;
    }
    const { sizeBytes, waitingBytes } = this.#file;
    if (sizeBytes + waitingBytes >= this.#options.limitBytes / SEGMENTS) await this.#rotate();
    else if (waitingBytes >= CHUNK_BYTES) await this.#file.flush();
  }

  async #rotate(): Promise<void> {
    await this.#file.finish();
    this.#finished.add(this.#path, this.#file.sizeBytes);
    await this.#finished.keep((this.#options.limitBytes * (SEGMENTS - 1)) / SEGMENTS);
    this.#segment++;
    this.#file = await McapFile.create(
      this.#path,
      CHANNELS,
      metadataOf({ ...this.#head, segment: this.#segment }),
    );
  }

  async #stop(fault: RuntimeError): Promise<void> {
    this.#fault = fault;
    this.#queue.length = 0;
    this.#stopTimer();
    await this.#file.abandon().catch(() => {
      // What cannot be written can perhaps not be cut or closed either; the reader finds the last whole chunk itself.
    });
    this.#options.onStop(fault);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

function metadataOf(head: RecordingHead): { name: string; metadata: Map<string, string> } {
  return { name: HEAD_NAME, metadata: headToMetadata(head) };
}

function writeFault(path: string, cause: unknown): RuntimeError {
  const detail = messageOf(cause);
  const full = ["ENOSPC", "EDQUOT", "EFBIG"].includes((cause as NodeJS.ErrnoException).code ?? "");
  return new RuntimeError("output-failed", {
    part: "recording",
    problem: `${path} could not be written: ${detail}`,
    remedy: full ? "Free some space or write elsewhere" : "Check that its folder can be written to",
    cause,
  });
}
