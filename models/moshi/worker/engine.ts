import type { RuntimeError } from "../../../src/core/errors.ts";
import type { Gpu, GpuOptions } from "../../../src/gpu/device.ts";
import { buildOnDevice, isDeviceLoss, rebuildAfterLoss } from "../../../src/gpu/device-loss.ts";
import { type Conversation, usualConversation } from "../conversation.ts";
import type { FrameReply, HeardFrame } from "../dialogue.ts";
import type { MoshiFiles } from "../files.ts";
import { type BuiltDialogue, buildDialogue, type DialogueSettings, lagMsOf } from "./build-dialogue.ts";
import type { Ready, StepAnswer } from "./protocol.ts";

export interface EngineOptions extends DialogueSettings {
  files: MoshiFiles;
}

/** A device with the dialogue built on it. Replaced as a whole when the device is lost. */
interface Built extends BuiltDialogue {
  gpu: Gpu;
}

/**
 * A dialogue on a GPU, in the calling thread. Of a lost device nothing is left to go on with: keys and values of minutes,
 * and the codec's state. It is built again on another one, and the conversation begins anew.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #gpuOptions: GpuOptions;
  #conversation: Conversation;
  #built: Built;

  private constructor(
    options: EngineOptions,
    gpuOptions: GpuOptions,
    { conversation, built }: { conversation: Conversation; built: Built },
  ) {
    this.#options = options;
    this.#gpuOptions = gpuOptions;
    this.#conversation = conversation;
    this.#built = built;
  }

  /**
   * Opens a device, builds everything on it and runs a first frame that is forgotten again.
   * @throws RuntimeError of the checkpoint's files, "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory".
   */
  static async create(options: EngineOptions, gpuOptions: GpuOptions = {}): Promise<Engine> {
    const conversation = usualConversation(options.files, options);
    const built = await build(options, gpuOptions, conversation);
    return new Engine(options, gpuOptions, { conversation, built });
  }

  get ready(): Ready {
    const { name, isSoftware } = this.gpu.adapter;
    return { adapter: name, isSoftware, lagMs: lagMsOf(this.#options.files) };
  }

  /** The device at hand: another one after a loss. For tests and measurements. */
  get gpu(): Gpu {
    return this.#built.gpu;
  }

  /** @throws RuntimeError "gpu-device-lost" if no device could be brought back. */
  async step(frames: readonly HeardFrame[]): Promise<StepAnswer> {
    const replies: FrameReply[] = [];
    try {
      for (const frame of frames) replies.push(await this.#built.dialogue.step(frame));
      return { replies, isNew: false, adapter: this.ready.adapter };
    } catch (error) {
      if (!isDeviceLoss(error)) throw error;
      await this.#rebuild(error);
      return { replies: [], isNew: true, adapter: this.ready.adapter };
    }
  }

  /**
   * Begins another conversation: so, and so again after a reset or a loss of the device.
   * @throws RuntimeError "missing-file" or "invalid-checkpoint" for a voice that cannot be read: it is as it was then.
   */
  async begin(conversation: Conversation): Promise<void> {
    await this.#built.prepare(conversation);
    this.#conversation = conversation;
    await this.reset();
  }

  /** Forgets the conversation, and prompts the next one. */
  async reset(): Promise<void> {
    try {
      await this.#built.dialogue.reset();
    } catch (error) {
      if (!isDeviceLoss(error)) throw error;
      await this.#rebuild(error);
    }
  }

  async close(): Promise<void> {
    this.gpu.close();
  }

  async #rebuild(loss: RuntimeError): Promise<void> {
    this.gpu.close();
    await rebuildAfterLoss({ part: "moshi model", loss }, async () => {
      this.#built = await build(this.#options, this.#gpuOptions, this.#conversation);
      await this.#built.dialogue.reset();
      return "";
    });
  }
}

function build(
  { files, weights }: EngineOptions,
  gpuOptions: GpuOptions,
  conversation: Conversation,
): Promise<Built> {
  return buildOnDevice(gpuOptions, async (gpu) => ({
    gpu,
    ...(await buildDialogue(gpu, files, weights, conversation)),
  }));
}
