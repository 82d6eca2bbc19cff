import type { Gpu, GpuOptions } from "../../../src/gpu/device.ts";
import { buildOnDevice, isDeviceLoss, rebuildAfterLoss } from "../../../src/gpu/device-loss.ts";
import type { MoshiFiles } from "../files.ts";
import type { SpeechReply, SpokenText } from "../text-to-speech/spoken-text.ts";
import { buildVoice, type VoiceSettings } from "./build-voice.ts";

export interface VoiceEngineOptions extends VoiceSettings {
  files: MoshiFiles;
}

/** A device with the voice built on it. Replaced as a whole when the device is lost. */
interface Built {
  gpu: Gpu;
  spoken: SpokenText;
}

/** A voice on a GPU, in the calling thread. An utterance in which the device is lost is lost with it; the next one is spoken. */
export class VoiceEngine {
  readonly #options: VoiceEngineOptions;
  readonly #gpuOptions: GpuOptions;
  #built: Built;

  private constructor(options: VoiceEngineOptions, gpuOptions: GpuOptions, built: Built) {
    this.#options = options;
    this.#gpuOptions = gpuOptions;
    this.#built = built;
  }

  /** @throws RuntimeError of the checkpoint's files, "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory". */
  static async create(options: VoiceEngineOptions, gpuOptions: GpuOptions = {}): Promise<VoiceEngine> {
    return new VoiceEngine(options, gpuOptions, await build(options, gpuOptions));
  }

  /** The device at hand: another one after a loss. For tests and measurements. */
  get gpu(): Gpu {
    return this.#built.gpu;
  }

  /** See SpokenText. @throws RuntimeError "gpu-device-lost" when the device was lost: reset before the next utterance. */
  step(given: { text: string; isEnd: boolean }): Promise<SpeechReply> {
    return this.#built.spoken.step(given);
  }

  /** The next step begins another utterance, on another device if this one is lost. */
  async reset(): Promise<void> {
    try {
      this.gpu.throwIfFailed();
      await this.#built.spoken.reset();
    } catch (error) {
      if (!isDeviceLoss(error)) throw error;
      this.gpu.close();
      await rebuildAfterLoss({ part: "moshi voice", loss: error }, async () => {
        this.#built = await build(this.#options, this.#gpuOptions);
        return "";
      });
    }
  }

  async close(): Promise<void> {
    this.gpu.close();
  }
}

function build({ files, ...settings }: VoiceEngineOptions, gpuOptions: GpuOptions): Promise<Built> {
  return buildOnDevice(gpuOptions, async (gpu) => ({ gpu, spoken: await buildVoice(gpu, files, settings) }));
}
