import { RuntimeError } from "../../../src/core/errors.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { openSafetensors } from "../../tensors/safetensors.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { type ConditionValues, readConditions, readVoice, VOICE_CONDITION } from "../conditioners.ts";
import type { MoshiConfig } from "../config.ts";
import type { MoshiFiles } from "../files.ts";
import { createLanguageModel } from "../gpu/gpu-language-model.ts";
import { SpokenModel } from "../gpu/spoken-model.ts";
import type { Conditions } from "../language-model.ts";
import { Script } from "../text-to-speech/script.ts";
import { SpokenText } from "../text-to-speech/spoken-text.ts";
import { TextToSpeech } from "../text-to-speech/text-to-speech.ts";
import { formatOf, openCodec, openLanguageModel, openTokenizer } from "./open-checkpoint.ts";

/** As Kyutai's own programs sample. */
const TEXT_SAMPLING = { temperature: 0.6, topK: 25 };
const AUDIO_SAMPLING = { temperature: 0.6, topK: 250 };
/** Conditions as in Kyutai's own programs, where a checkpoint has such conditioners. */
const USUAL_CONDITIONS = { control: "ok", cfg: "2.0" };

/** How a text is to be spoken. */
export interface VoiceSettings {
  /** A published voice file. */
  voice: string;
  /** Codebooks to make: fewer are faster and coarser; null for all. */
  nCodebooks: number | null;
  seed: number;
}

/**
 * Brings a text-to-speech checkpoint to the device, with its voice. One frame has run and is forgotten.
 *
 * @param gpu Borrowed; what is built lives as long as it does.
 * @throws RuntimeError "invalid-checkpoint", "missing-file", "invalid-argument" for more codebooks than there are, "gpu-compile",
 *   "gpu-out-of-memory" or "gpu-device-lost".
 */
export async function buildVoice(gpu: Gpu, files: MoshiFiles, settings: VoiceSettings): Promise<SpokenText> {
  const { config } = files;
  const nCodebooks = settings.nCodebooks ?? config.depQ;
  const tokenizer = await openTokenizer(files);
  if (tokenizer.size > config.textCard) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "tokenizer",
      problem: `${files.tokenizer} has ${tokenizer.size} pieces, the language model takes ${config.textCard}`,
    });
  }
  const tensors = await openLanguageModel(files);
  try {
    const model = await createLanguageModel(gpu, config, tensors, {
      text: TEXT_SAMPLING,
      audio: AUDIO_SAMPLING,
      seed: settings.seed,
      format: formatOf(tensors, "as-stored"),
      maxDepthSteps: nCodebooks,
      conditions: await conditionsOf(tensors, config, settings.voice),
    });
    const codec = await openCodec(gpu, files, nCodebooks);
    const spoken = await SpokenModel.create(gpu, model, codec, nCodebooks);
    return new SpokenText({
      textToSpeech: new TextToSpeech(spoken, config, { nCodebooks }),
      newScript: () => new Script({ encode: (word) => tokenizer.encode(word), hasSpeakers: true }),
      codec: { decode: (codes) => spoken.decode(codes), reset: () => codec.reset() },
    });
  } finally {
    await tensors.close();
  }
}

async function conditionsOf(tensors: TensorFile, config: MoshiConfig, path: string): Promise<Conditions> {
  const usual = Object.entries(USUAL_CONDITIONS).filter(([name]) => config.conditioners.has(name));
  const file = await openSafetensors(path);
  try {
    const values: ConditionValues = {
      ...Object.fromEntries(usual),
      [VOICE_CONDITION]: [await readVoice(file)],
    };
    return await readConditions(tensors, config, values);
  } finally {
    await file.close();
  }
}
