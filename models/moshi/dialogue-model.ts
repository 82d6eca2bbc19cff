import { RuntimeError } from "../../src/core/errors.ts";
import { stderrLog } from "../../src/core/log.ts";
import type { MicroTurnInput, MicroTurnOutput, OutputPart } from "../../src/core/micro-turn.ts";
import type { InteractionModel, ModelDescription, Perception } from "../../src/core/model.ts";
import type { Conversation, ConversationWishes } from "./conversation.ts";
import { FRAME_MS, type FrameReply, type HeardFrame, SAMPLE_RATE_HZ } from "./dialogue.ts";

const PART = "moshi model";
/** Name of the action by which a session is told that whoever was heard seems to have ended. */
const SPEAKER_ENDED = "speaker-ended";

/** What runs a dialogue; see worker/worker-engine.ts. */
export interface DialogueEngine {
  readonly adapter: string;
  /**
   * Takes frames in, oldest first. One call at a time.
   *
   * @returns a reply to each; `isNew` if the device was lost meanwhile: the conversation has begun anew behind these frames,
   *   and there are no replies.
   * @throws RuntimeError "gpu-device-lost" only when the device could not be brought back.
   */
  step(frames: readonly HeardFrame[]): Promise<{ replies: readonly FrameReply[]; isNew: boolean }>;
  /** Forgets the conversation; the next one is as the one before. */
  reset(): Promise<void>;
  /** The same, with the next one as is said here. */
  begin(conversation: Conversation): Promise<void>;
  close(): Promise<void>;
}

export interface DialogueModelOptions {
  engine: DialogueEngine;
  /** What a conversation is like that is wished for so. */
  conversationOf: (wishes: ConversationWishes) => Promise<Conversation>;
  description: ModelDescription;
  /** How far what it puts out may lie behind what it hears, ms. */
  lagMs: number;
  /** Whether it is given the first picture of each session. Default: it is blind. */
  sees?: boolean;
}

/** A model of the Moshi family in a session: it hears, and puts out sound with its words, or words alone. */
export class DialogueModel implements InteractionModel {
  readonly perception: Perception;
  readonly lagMs: number;
  readonly #engine: DialogueEngine;
  readonly #conversationOf: DialogueModelOptions["conversationOf"];
  readonly #description: ModelDescription;
  /** Session time at which the conversation began, ms; null before its first frame. */
  #originMs: number | null = null;
  #isStepping = false;
  /** Whether this conversation has had its picture. */
  #hasLooked = false;

  constructor({ engine, conversationOf, description, lagMs, sees = false }: DialogueModelOptions) {
    this.perception = {
      microTurnMs: FRAME_MS,
      audioSampleRateHz: SAMPLE_RATE_HZ,
      videoFramesPerMicroTurn: sees ? 1 : null,
    };
    this.#engine = engine;
    this.#conversationOf = conversationOf;
    this.#description = description;
    this.lagMs = lagMs;
  }

  get description(): ModelDescription {
    return { ...this.#description, adapter: this.#engine.adapter };
  }

  async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    const last = inputs.at(-1);
    if (!last || this.#isStepping) {
      throw new RuntimeError("invalid-argument", {
        part: PART,
        problem: last ? "step was called before the step before it settled" : "step was given no micro-turn",
      });
    }
    this.#isStepping = true;
    this.#originMs ??= inputs[0]!.startMs;
    try {
      const { replies, isNew } = await this.#engine.step(inputs.map((input) => this.#perceived(input)));
      if (isNew) return this.#begunAnew(last.index);
      const parts = replies.flatMap((reply) => this.#partsOf(reply));
      return { index: last.index, tokens: replies.flatMap(({ tokens }) => tokens), parts };
    } finally {
      this.#isStepping = false;
    }
  }

  async reset(): Promise<void> {
    this.#originMs = null;
    this.#hasLooked = false;
    await this.#engine.reset();
  }

  /**
   * Forgets the session, and begins one that has what is wished for, whatever the one before had. It stays so over resets.
   *
   * @returns how it is.
   * @throws RuntimeError "invalid-argument" for a voice that the checkpoint does not have, or a persona where there is none;
   *   "invalid-checkpoint" for a voice that is none.
   */
  async begin(wishes: ConversationWishes): Promise<Conversation> {
    const conversation = await this.#conversationOf(wishes);
    this.#originMs = null;
    this.#hasLooked = false;
    await this.#engine.begin(conversation);
    return conversation;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** What is heard, and with the first picture of a conversation that picture: it was trained to talk of one. */
  #perceived(input: MicroTurnInput): HeardFrame {
    const frame = heardFrame(input);
    const [picture] = this.perception.videoFramesPerMicroTurn === null ? [] : input.frames;
    if (this.#hasLooked || !picture) return frame;
    this.#hasLooked = true;
    const { width, height, rgb } = picture;
    return { ...frame, picture: { width, height, rgb } };
  }

  /** What was said before the loss is over: nothing of it is to sound any more. */
  #begunAnew(index: number): MicroTurnOutput {
    this.#originMs = null;
    this.#hasLooked = false;
    stderrLog.write(
      "warning",
      PART,
      "the conversation begins anew: the device was lost, and with it what was said",
    );
    return { index, tokens: [], parts: [{ kind: "yield" }] };
  }

  #partsOf({ sound, text, captions, ended }: FrameReply): OutputPart[] {
    const parts: OutputPart[] = captions.map((caption) => ({
      kind: "text",
      text: caption.text,
      heardMs: this.#originMs! + caption.startMs,
    }));
    if (ended) parts.push({ kind: "action", name: SPEAKER_ENDED, args: { ...ended } });
    if (text !== "") parts.push({ kind: "text", text });
    if (sound) parts.push({ kind: "sound", samples: sound, sampleRateHz: SAMPLE_RATE_HZ });
    return parts;
  }
}

/** The sound of a micro-turn, and whether the microphone has ended with it. */
function heardFrame({ audio, events }: MicroTurnInput): HeardFrame {
  const isLast = events.some(
    (event) => event.kind === "device" && event.state === "ended" && /\bmicrophone\b/.test(event.device),
  );
  return { pcm: audio, isLast };
}
