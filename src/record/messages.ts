import type { InputEvent, MicroTurnInput, MicroTurnOutput } from "../core/micro-turn.ts";
import { CAMERA, LEVEL, LOG, MICRO_TURNS, MICROPHONE, SPEAKER, timeNs, timestamp } from "./channels.ts";
import { type RecordedEvent, type RecordedStep, recordedPart, type StepMessage } from "./format.ts";
import type { McapMessage } from "./mcap-file.ts";
import { encodePng, type Picture, pictureOf } from "./picture.ts";
import { type StoredSound, storeSound, toPcm16 } from "./sound.ts";

/** The camera's place in the world is not known; viewers want a name for it. */
const CAMERA_FRAME = "camera";

/** One interval as it waits to be written: in arrays of its own. */
interface KeptInput extends Omit<MicroTurnInput, "frames"> {
  frames: readonly { captureMs: number; picture: Picture }[];
}

/** A step as it waits to be written. */
export interface KeptStep extends Omit<RecordedStep, "inputs"> {
  inputs: readonly KeptInput[];
}

/** A step as a session tells it. */
export interface FinishedStep extends Omit<RecordedStep, "output"> {
  output: MicroTurnOutput;
}

/** Copies what is borrowed of a step. */
export function keepStep(step: FinishedStep): KeptStep {
  const inputs = step.inputs.map((input) => ({
    ...input,
    audio: input.audio?.slice() ?? null,
    frames: input.frames.map((frame) => ({ captureMs: frame.captureMs, picture: pictureOf(frame) })),
  }));
  const output = { ...step.output, parts: step.output.parts.map(recordedPart) };
  return { ...step, inputs, output };
}

/** Bytes of sound and pictures: what a queue of steps costs. */
export function keptBytes({ inputs }: KeptStep): number {
  let bytes = 0;
  for (const { audio, frames } of inputs) {
    bytes += audio?.byteLength ?? 0;
    for (const { picture } of frames) bytes += picture.data.byteLength;
  }
  return bytes;
}

/** A message's fields, given its time. */
type Body = (timestamp: { sec: number; nsec: number }) => object;

/** Turns what a session does into messages. @param originMs wall time of session time 0, ms since 1970. */
export class MessageWriter {
  readonly #originMs: number;
  #events = 0;

  constructor(originMs: number) {
    this.#originMs = originMs;
  }

  /** Sound and pictures first, then the step that took them in: where a file is torn, no step lacks its inputs. */
  async step(step: KeptStep, sampleRateHz: number): Promise<McapMessage[]> {
    const messages: McapMessage[] = [];
    for (const input of step.inputs) {
      const { audio, frames, index } = input;
      if (audio) {
        const body = rawAudio(storeSound(audio), sampleRateHz);
        messages.push(this.#message(MICROPHONE, index, input.startMs, body));
      }
      for (const { captureMs, picture } of frames)
        messages.push(await this.#image(index, captureMs, picture));
      for (const event of input.events) {
        const said = inputText(event);
        if (said) messages.push(this.#log(event.timeMs, { name: event.kind, message: said }));
      }
    }
    const { output, inputs, ...rest } = step;
    const last = inputs.at(-1)!;
    const body: StepMessage = {
      microTurn: last.index,
      ...rest,
      savings: [...step.savings],
      inputs: inputs.map(({ audio, frames, events, ...interval }) => ({
        ...interval,
        audio: audio !== null,
        frames: frames.map(({ captureMs }) => captureMs),
        events: [...events],
      })),
      tokens: [...output.tokens],
      parts: [...output.parts],
      unfinished: output.unfinished ?? false,
    };
    messages.push(this.#message(MICRO_TURNS, last.index, last.startMs + last.durationMs, () => body));
    return messages;
  }

  event(event: RecordedEvent): McapMessage {
    const { kind, tMs } = event;
    const rest = Object.entries(event).filter(([key]) => !["tMs", "microTurn", "kind"].includes(key));
    const only = rest.length === 1 ? rest[0]![1] : null;
    const message = typeof only === "string" ? only : JSON.stringify(Object.fromEntries(rest));
    return this.#log(tMs, { name: kind, message, event });
  }

  /** What was heard of a phrase. No replay needs it, so that 16 bits do. */
  spoken(startMs: number, samples: Float32Array, sampleRateHz: number): McapMessage {
    return this.#message(SPEAKER, 0, startMs, rawAudio({ data: toPcm16(samples).data }, sampleRateHz));
  }

  async #image(sequence: number, captureMs: number, picture: Picture): Promise<McapMessage> {
    const data = (await encodePng(picture)).toString("base64");
    const about = { frame_id: CAMERA_FRAME, format: "png" };
    return this.#message(CAMERA, sequence, captureMs, (timestamp) => ({ timestamp, ...about, data }));
  }

  #log(tMs: number, about: { name: string; message: string; event?: RecordedEvent }): McapMessage {
    const notable = ["late", "degraded"].includes(about.name);
    const level = notable ? LEVEL.warning : LEVEL.info;
    const place = { file: "", line: 0 };
    return this.#message(LOG, this.#events++, tMs, (timestamp) => ({ timestamp, level, ...about, ...place }));
  }

  #message(channel: number, sequence: number, sessionMs: number, body: Body): McapMessage {
    const ns = timeNs(this.#originMs, sessionMs);
    const data = Buffer.from(JSON.stringify(body(timestamp(ns))));
    return { channel, timeNs: ns, sequence: sequence >>> 0, data };
  }
}

/** A foxglove.RawAudio message. */
function rawAudio(sound: StoredSound, sampleRateHz: number): Body {
  const format = { format: "pcm-s16", sample_rate: sampleRateHz, number_of_channels: 1 };
  return (timestamp) => ({ timestamp, ...sound, ...format });
}

/** What came in as words; null for what the session tells of in other ways. */
function inputText(event: InputEvent): string | null {
  switch (event.kind) {
    case "text":
    case "reasoner":
      return event.text;
    case "serial":
      return event.line;
    default:
      return null;
  }
}
