import { basename, isAbsolute, join, resolve } from "node:path";
import { RuntimeError } from "../../src/core/errors.ts";
import { WorkerClient } from "../worker/worker-client.ts";
import { type Conversation, conversationOf, usualConversation } from "./conversation.ts";
import type { HeardFrame } from "./dialogue.ts";
import { type DialogueEngine, DialogueModel } from "./dialogue-model.ts";
import { findMoshiFiles, VOICE_SUFFIX, VOICES_FOLDER } from "./files.ts";
import type { DialogueSettings } from "./worker/build-dialogue.ts";
import type { MoshiCalls, Ready, StepAnswer, WorkerStart } from "./worker/protocol.ts";

export interface MoshiModelOptions extends DialogueSettings {
  /** A checkpoint as published: see findMoshiFiles. */
  directory: string;
}

/**
 * Loads a checkpoint of the Moshi family and starts it on the GPU, in a worker thread: Moshi, PersonaPlex, Hibiki or speech
 * to text.
 *
 * @throws RuntimeError "invalid-checkpoint" naming the fault; "invalid-configuration" for a persona where there is none, or
 *   for a checkpoint that is no model to talk with; "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory".
 */
export async function loadMoshiModel(options: MoshiModelOptions): Promise<DialogueModel> {
  const { directory, ...settings } = options;
  const files = await findMoshiFiles(resolve(directory));
  if (files.kind === "tts") {
    throw new RuntimeError("invalid-configuration", {
      part: `moshi:${directory}`,
      problem: "this checkpoint speaks what it is given to say, and hears nothing",
      remedy: "Give a Moshi, PersonaPlex, Hibiki or speech-to-text checkpoint",
    });
  }
  const { voice, role } = settings.persona;
  if (files.kind !== "personaplex" && (voice !== null || role.trim() !== "")) {
    throw new RuntimeError("invalid-configuration", {
      part: "persona",
      problem: `a checkpoint of kind ${files.kind} takes no voice or role`,
      remedy: "Leave persona out, or give a PersonaPlex checkpoint",
    });
  }
  const persona = { ...settings.persona, voice: voicePath(files.directory, voice) };
  const workerData: WorkerStart = { files, ...settings, persona };
  const url = new URL("./worker/worker-start.mjs", import.meta.url);
  const { client, ready } = await WorkerClient.start<MoshiCalls, Ready>({
    url,
    part: "moshi model",
    workerData,
  });
  const usual = usualConversation(files, { ...settings, persona });
  return new DialogueModel({
    engine: new WorkerEngine(client, ready.adapter),
    conversationOf: (wishes) => conversationOf(files, usual, wishes),
    description: {
      model: `${files.kind}/${basename(files.directory)}`,
      backend: "gpu",
      adapter: ready.adapter,
      reason: ready.isSoftware
        ? "this family runs on the GPU alone, here a software rasteriser"
        : "the adapter is real hardware",
    },
    lagMs: ready.lagMs,
    sees: files.vision !== null,
  });
}

/** A voice by its path, or by the name of a file in the checkpoint's folder of voices. */
function voicePath(directory: string, voice: string | null): string | null {
  if (voice === null) return null;
  if (voice.endsWith(VOICE_SUFFIX)) return isAbsolute(voice) ? voice : resolve(voice);
  return join(directory, VOICES_FOLDER, `${voice}${VOICE_SUFFIX}`);
}

/** A dialogue in a worker thread. */
class WorkerEngine implements DialogueEngine {
  readonly #client: WorkerClient<MoshiCalls>;
  #adapter: string;

  constructor(client: WorkerClient<MoshiCalls>, adapter: string) {
    this.#client = client;
    this.#adapter = adapter;
  }

  get adapter(): string {
    return this.#adapter;
  }

  async step(frames: readonly HeardFrame[]): Promise<StepAnswer> {
    const answer = await this.#client.call("step", frames);
    this.#adapter = answer.adapter;
    return answer;
  }

  async reset(): Promise<void> {
    await this.#client.call("reset", null);
  }

  async begin(conversation: Conversation): Promise<void> {
    await this.#client.call("begin", conversation);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
