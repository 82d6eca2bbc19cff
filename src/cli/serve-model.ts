import { parse } from "node:path";
import type { Conversation, ConversationWishes } from "../../models/moshi/conversation.ts";
import { RuntimeError } from "../core/errors.ts";
import type { MicroTurnOutput } from "../core/micro-turn.ts";
import type { InteractionModel } from "../core/model.ts";
import {
  type DuplexEngine,
  type DuplexSession,
  FRAME_MS,
  type Reply,
  SAMPLE_RATE_HZ,
  type SessionOptions,
} from "../serve/session.ts";

/** A model of sessions that begins each of them as its client wishes. */
export interface ServedModel extends InteractionModel {
  /**
   * Forgets the session, and begins one that has what is wished for, whatever the one before had.
   * @throws RuntimeError "invalid-argument" for what it does not have.
   */
  begin(wishes: ConversationWishes): Promise<Conversation>;
}

/** A model of sessions, given to clients: its micro-turn must be a frame, and what it hears 24 kHz. */
export class ModelEngine implements DuplexEngine {
  readonly #model: ServedModel;

  /**
   * @param model closed with this.
   * @throws RuntimeError "invalid-configuration" for a model of another micro-turn or rate.
   */
  constructor(model: ServedModel) {
    const { microTurnMs, audioSampleRateHz } = model.perception;
    if (microTurnMs !== FRAME_MS || audioSampleRateHz !== SAMPLE_RATE_HZ) {
      throw new RuntimeError("invalid-configuration", {
        part: "serve",
        problem: `${model.description.model} hears ${audioSampleRateHz} Hz in micro-turns of ${microTurnMs} ms, expected ${SAMPLE_RATE_HZ} Hz and ${FRAME_MS} ms`,
        remedy: "Serve a model of the Moshi family",
      });
    }
    this.#model = model;
  }

  get name(): string {
    return this.#model.description.model;
  }

  async open(options: SessionOptions): Promise<DuplexSession> {
    if (options.repetitionPenalty !== undefined) {
      throw new RuntimeError("invalid-argument", {
        part: "repetition_penalty",
        problem: "the model that is served draws without one",
        remedy: "Leave it out, or say 1",
      });
    }
    const conversation = await this.#model.begin(wishesOf(options));
    return new ModelSession(this.#model, inEffect(conversation, options));
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

/** One seed is for both streams of tokens, of which each may have its own. */
function wishesOf({
  seed,
  voicePrompt: voice,
  textPrompt: role,
  ...rest
}: SessionOptions): ConversationWishes {
  return {
    ...(seed === undefined ? {} : { textSeed: seed, audioSeed: seed }),
    ...rest,
    ...(voice === undefined ? {} : { voice }),
    ...(role === undefined ? {} : { role }),
  };
}

/** What a client is told. Of a voice its name: where it lies is no client's business. */
function inEffect({ draws, persona }: Conversation, { padMultiplier = 0 }: SessionOptions): SessionOptions {
  const { text, audio, textSeed, audioSeed } = draws;
  return {
    textTemperature: text.temperature,
    textTopK: text.topK,
    audioTemperature: audio.temperature,
    audioTopK: audio.topK,
    textSeed,
    audioSeed,
    padMultiplier,
    ...(persona.voice === null ? {} : { voicePrompt: parse(persona.voice).name }),
    ...(persona.role === "" ? {} : { textPrompt: persona.role }),
  };
}

class ModelSession implements DuplexSession {
  readonly inEffect: SessionOptions;
  readonly #model: InteractionModel;
  #index = 0;

  constructor(model: InteractionModel, inEffect: SessionOptions) {
    this.#model = model;
    this.inEffect = inEffect;
  }

  async step(pcm: Float32Array): Promise<Reply> {
    const index = this.#index++;
    const startMs = index * FRAME_MS;
    const input = { index, startMs, durationMs: FRAME_MS, audio: pcm, frames: [], events: [] };
    return replyOf(await this.#model.step([input]));
  }

  async reset(): Promise<void> {
    this.#index = 0;
    await this.#model.reset();
  }

  /** The model stays loaded for the next client. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Words that were heard stand alone; those of the model's own sound come in pieces that bring their spaces. */
function replyOf({ parts }: MicroTurnOutput): Reply {
  let pcm: Float32Array | null = null;
  let text = "";
  for (const part of parts) {
    if (part.kind === "sound") pcm = part.samples;
    else if (part.kind === "text") text += part.heardMs === undefined ? part.text : ` ${part.text}`;
  }
  return { pcm, text };
}
