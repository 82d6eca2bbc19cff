import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import { stderrLog } from "../../../src/core/log.ts";
import { type Gpu, type GpuOptions, openGpu } from "../../../src/gpu/device.ts";
import type { Dialogue, FrameReply, HeardFrame } from "../dialogue.ts";
import type { MoshiFiles } from "../files.ts";
import { buildDialogue, type DialogueSettings, lagMsOf } from "./build-dialogue.ts";
import type { Ready, StepAnswer } from "./protocol.ts";

export interface EngineOptions extends DialogueSettings {
  files: MoshiFiles;
}

/** A device with the dialogue built on it. Replaced as a whole when the device is lost. */
interface Built {
  gpu: Gpu;
  dialogue: Dialogue;
}

/**
 * A dialogue on a GPU, in the calling thread. Of a lost device nothing is left to go on with: keys and values of minutes,
 * and the codec's state. It is built again on another one, and the conversation begins anew.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #gpuOptions: GpuOptions;
  #built: Built;

  private constructor(options: EngineOptions, gpuOptions: GpuOptions, built: Built) {
    this.#options = options;
    this.#gpuOptions = gpuOptions;
    this.#built = built;
  }

  /**
   * Opens a device, builds everything on it and runs a first frame that is forgotten again.
   * @throws RuntimeError of the checkpoint's files, "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory".
   */
  static async create(options: EngineOptions, gpuOptions: GpuOptions = {}): Promise<Engine> {
    return new Engine(options, gpuOptions, await build(options, gpuOptions));
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
      if (!isLoss(error)) throw error;
      await this.#rebuild(error);
      return { replies: [], isNew: true, adapter: this.ready.adapter };
    }
  }

  /** Forgets the conversation, and prompts the next one. */
  async reset(): Promise<void> {
    try {
      await this.#built.dialogue.reset();
    } catch (error) {
      if (!isLoss(error)) throw error;
      await this.#rebuild(error);
    }
  }

  async close(): Promise<void> {
    this.gpu.close();
  }

  async #rebuild(loss: RuntimeError): Promise<void> {
    const beganMs = performance.now();
    this.gpu.close();
    try {
      this.#built = await build(this.#options, this.#gpuOptions);
      await this.#built.dialogue.reset();
    } catch (cause) {
      throw new RuntimeError("gpu-device-lost", {
        part: "moshi model",
        problem: `${loss.message}; it could not be rebuilt: ${messageOf(cause)}`,
        cause,
      });
    }
    const tookMs = Math.round(performance.now() - beganMs);
    stderrLog.write("warning", "moshi model", `the device was lost; rebuilt in ${tookMs} ms`);
  }
}

async function build({ files, ...settings }: EngineOptions, gpuOptions: GpuOptions): Promise<Built> {
  const gpu = await openGpu(gpuOptions);
  try {
    return { gpu, dialogue: await buildDialogue(gpu, files, settings) };
  } catch (error) {
    gpu.close();
    throw error;
  }
}

function isLoss(error: unknown): error is RuntimeError {
  return error instanceof RuntimeError && error.code === "gpu-device-lost";
}
