import { createReadStream } from "node:fs";
import { McapStreamReader, type McapTypes } from "@mcap/core";
import { messageOf, RuntimeError } from "../core/errors.ts";
import type { MicroTurnInput, VideoFrame } from "../core/micro-turn.ts";
import { CAMERA, LOG, MICRO_TURNS, MICROPHONE } from "./channels.ts";
import {
  HEAD_NAME,
  headFromMetadata,
  MAX_INTERVALS,
  parseEvent,
  parseImage,
  parseSound,
  parseStep,
  type RecordedEvent,
  type RecordedStep,
  type RecordingHead,
  type StepMessage,
} from "./format.ts";
import { decodePng } from "./picture.ts";
import { type Segment, segmentPath, segmentsOf } from "./segments.ts";
import { restoreSound } from "./sound.ts";

/** A record that announces more is damaged: a chunk of ours is closed at 1 MiB, plus one step. */
const MAX_RECORD_BYTES = 256 * 1024 * 1024;

export type RecordedEntry = { kind: "step"; step: RecordedStep } | { kind: "event"; event: RecordedEvent };

type Tear = { path: string; problem: string };
type Records = AsyncGenerator<McapTypes.TypedMcapRecord, Tear | null>;

/** A recording on disk. */
export class Recording {
  readonly head: RecordingHead;
  /** Where and why the recording ends early, known once its entries have been read; null if it is whole. */
  tear: Tear | null = null;
  readonly #segments: readonly Segment[];
  /** What follows the segments but cannot be joined to them; null if nothing does. */
  readonly #hole: Tear | null;

  private constructor(head: RecordingHead, segments: readonly Segment[], hole: Tear | null) {
    this.head = head;
    this.#segments = segments;
    this.#hole = hole;
  }

  /**
   * Opens the recording that begins with `path`.
   * @throws RuntimeError "missing-file", or "invalid-media" if it is no recording or its beginning is gone.
   */
  static async open(path: string): Promise<Recording> {
    const all = await segmentsOf(path);
    const first = all[0];
    if (!first) {
      throw new RuntimeError("missing-file", { part: "recording", problem: `there is no file ${path}` });
    }
    const head = await readHead(first.path);
    if (head.segment !== 0) throw beginningGone(path, first.path);
    const segments: Segment[] = [];
    for (const segment of all) {
      if (segment.number !== segments.length) {
        const missing = segmentPath(path, segments.length);
        return new Recording(head, segments, unusable(missing, "is missing", all.length - segments.length));
      }
      const { session } = segment === first ? head : await readHead(segment.path);
      // A file of another recording of the same name is none of this one's.
      if (session !== head.session) break;
      segments.push(segment);
    }
    return new Recording(head, segments, null);
  }

  /**
   * What was recorded, in the order in which it happened, as far as the file can be read: a file without an end, as a
   * killed process leaves it, gives all up to where it is torn.
   * @throws RuntimeError "invalid-media" for a message that is not ours.
   */
  async *entries(): AsyncGenerator<RecordedEntry> {
    for (const [place, { path }] of this.#segments.entries()) {
      const records = recordsOf(path);
      const pending = new PendingInputs();
      let next = await records.next();
      for (; !next.done; next = await records.next()) {
        const entry = next.value.type === "Message" ? await entryOf(next.value, pending, path) : null;
        if (entry) yield entry;
      }
      const tear = next.value;
      if (tear) {
        this.tear = unusable(tear.path, tear.problem, this.#segments.length - 1 - place);
        return;
      }
    }
    this.tear = this.#hole;
  }
}

/** Whatever follows a torn or missing file cannot be joined to what is before it. */
function unusable(path: string, problem: string, later: number): Tear {
  return { path, problem: later > 0 ? `${problem}, and ${later} later file(s) cannot be used` : problem };
}

/** Sound and pictures that wait for the step which took them in. */
class PendingInputs {
  readonly #audio = new Map<number, Float32Array>();
  readonly #pictures = new Map<number, Omit<VideoFrame, "captureMs">[]>();

  addAudio(index: number, samples: Float32Array): void {
    this.#audio.set(index, samples);
    if (this.#audio.size > MAX_INTERVALS) throw new Error("sound of too many micro-turns without a step");
  }

  addPicture(index: number, picture: Omit<VideoFrame, "captureMs">): void {
    const pictures = this.#pictures.get(index) ?? [];
    this.#pictures.set(index, [...pictures, picture]);
    if (this.#pictures.size > MAX_INTERVALS)
      throw new Error("pictures of too many micro-turns without a step");
  }

  /** The step with its sound and pictures, which are forgotten here. */
  complete({
    inputs,
    tokens,
    parts,
    unfinished,
    microTurn,
    savings,
    stepMs,
    late,
  }: StepMessage): RecordedStep {
    const whole = inputs.map((input): MicroTurnInput => {
      const pictures = this.#pictures.get(input.index) ?? [];
      const audio = this.#audio.get(input.index) ?? null;
      if ((audio !== null) !== input.audio || pictures.length !== input.frames.length) {
        throw new Error(`micro-turn ${input.index} lacks its sound or pictures`);
      }
      const frames = pictures.map((picture, i) => ({ ...picture, captureMs: input.frames[i]! }));
      return { ...input, audio, frames };
    });
    this.#audio.clear();
    this.#pictures.clear();
    return {
      inputs: whole,
      output: { index: microTurn, tokens, parts, unfinished },
      savings,
      stepMs,
      late,
    };
  }
}

/** What a message means, once it is complete. @throws RuntimeError "invalid-media" naming the file. */
async function entryOf(
  { channelId, sequence, data }: McapTypes.TypedMcapRecords["Message"],
  pending: PendingInputs,
  path: string,
): Promise<RecordedEntry | null> {
  try {
    const body: unknown = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.length).toString());
    switch (channelId) {
      case MICROPHONE:
        pending.addAudio(sequence, restoreSound(parseSound(body)));
        return null;
      case CAMERA:
        pending.addPicture(sequence, await decodePng(parseImage(body)));
        return null;
      case MICRO_TURNS:
        return { kind: "step", step: pending.complete(parseStep(body)) };
      case LOG: {
        const { event } = body as { event?: unknown };
        return event === undefined ? null : { kind: "event", event: parseEvent(event) };
      }
      default:
        return null;
    }
  } catch (cause) {
    const detail = messageOf(cause);
    throw notARecording(path, `holds a message that no session wrote (${detail})`, cause);
  }
}

/**
 * The records of one file, those in its chunks among them.
 * @returns where and why it ends early, or null.
 */
async function* recordsOf(path: string): Records {
  const reader = new McapStreamReader();
  let readBytes = 0;
  const whereAt = () => `byte ${readBytes - reader.bytesRemaining()}`;
  for await (const bytes of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    readBytes += bytes.length;
    try {
      reader.append(bytes);
      for (let record = reader.nextRecord(); record; record = reader.nextRecord()) yield record;
    } catch (cause) {
      return {
        path,
        problem: `damaged near ${whereAt()} (${messageOf(cause)})`,
      };
    }
    if (reader.bytesRemaining() > MAX_RECORD_BYTES) return { path, problem: `damaged at ${whereAt()}` };
  }
  return reader.done() ? null : { path, problem: `ends at ${whereAt()} without a footer` };
}

/** @throws RuntimeError "missing-file" or "invalid-media". */
async function readHead(path: string): Promise<RecordingHead> {
  const records = recordsOf(path);
  try {
    for await (const record of records) {
      if (record.type === "Metadata" && record.name === HEAD_NAME) return headFromMetadata(record.metadata);
      if (record.type === "Message") break;
    }
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw notARecording(path, `has a head that cannot be read (${message})`, cause);
    throw new RuntimeError("missing-file", { part: "recording", problem: `${path} cannot be read`, cause });
  }
  throw notARecording(path, "is no recording of a session");
}

function notARecording(path: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-media", {
    part: "recording",
    problem: `${path} ${problem}`,
    remedy: "Give a file that run --record wrote",
    cause,
  });
}

function beginningGone(path: string, first: string): RuntimeError {
  const isLater = path === first;
  return new RuntimeError("invalid-media", {
    part: "recording",
    problem: isLater
      ? `${path} is a later file of a recording`
      : `the beginning of ${path} was deleted to keep the disk in bounds; what is left begins with ${first}`,
    remedy: isLater
      ? `Give the file that it began with, as ${segmentPath("NAME.mcap", 0)}`
      : "A model's words depend on all that it was given before: to replay a whole session record it with a larger --record-limit",
  });
}
