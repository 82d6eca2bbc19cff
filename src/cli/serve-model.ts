import { parse } from "node:path";
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

/** A model of sessions, given to clients: its micro-turn must be a frame, and what it hears 24 kHz. */
export class ModelEngine implements DuplexEngine {
  readonly #model: InteractionModel;
  readonly #settings: SessionOptions;

  /**
   * @param model closed with this.
   * @param settings what it was loaded with.
   * @throws RuntimeError "invalid-configuration" for a model of another micro-turn or rate.
   */
  constructor(model: InteractionModel, settings: SessionOptions) {
    const { microTurnMs, audioSampleRateHz } = model.perception;
    if (microTurnMs !== FRAME_MS || audioSampleRateHz !== SAMPLE_RATE_HZ) {
      throw new RuntimeError("invalid-configuration", {
        part: "serve",
        problem: `${model.description.model} hears ${audioSampleRateHz} Hz in micro-turns of ${microTurnMs} ms, expected ${SAMPLE_RATE_HZ} Hz and ${FRAME_MS} ms`,
        remedy: "Serve a model of the Moshi family",
      });
    }
    this.#model = model;
    this.#settings = settings;
  }

  get name(): string {
    return this.#model.description.model;
  }

  async open(options: SessionOptions): Promise<DuplexSession> {
    const { voicePrompt: voice, textPrompt: role } = options;
    if (voice !== undefined && stemOf(voice) !== stemOf(this.#settings.voicePrompt ?? "")) {
      throw fixed("voice_prompt", `has the voice '${stemOf(this.#settings.voicePrompt ?? "none")}'`);
    }
    if (role !== undefined && role !== (this.#settings.textPrompt ?? "").trim()) {
      throw fixed("text_prompt", "has another role");
    }
    const session = new ModelSession(this.#model, this.#settings);
    await session.reset();
    return session;
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

class ModelSession implements DuplexSession {
  readonly inEffect: SessionOptions;
  readonly #model: InteractionModel;
  #index = 0;

  constructor(model: InteractionModel, settings: SessionOptions) {
    this.#model = model;
    this.inEffect = settings;
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

/** Published voices are NAME.pt, converted ones NAME.safetensors, in whatever folder. */
function stemOf(voice: string): string {
  return parse(voice).name;
}

function fixed(parameter: string, what: string): RuntimeError {
  return new RuntimeError("invalid-argument", {
    part: parameter,
    problem: `the model that is served ${what}`,
    remedy: "Leave the parameter out, or have another persona served",
  });
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
