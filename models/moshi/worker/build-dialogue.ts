import { readFile } from "node:fs/promises";
import type { MatrixFormat } from "../../../kernels/matrix.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { openTensors } from "../../tensors/open.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { readConditions } from "../conditioners.ts";
import { codebooksOf, FRAME_RATE_HZ, type MoshiConfig } from "../config.ts";
import {
  type Dialogue,
  FRAME_MS,
  MoshiSource,
  SpeakingDialogue,
  type TokenSource,
  TokenTap,
  TranscribingDialogue,
} from "../dialogue.ts";
import type { MoshiFiles } from "../files.ts";
import { Generation } from "../generation.ts";
import { createLanguageModel, type GpuLanguageModel } from "../gpu/gpu-language-model.ts";
import { SpokenModel } from "../gpu/spoken-model.ts";
import { HIBIKI_QUALITY, Hibiki } from "../hibiki.ts";
import type { LanguageModelOptions, Sampling } from "../language-model.ts";
import { parseMimiConfig, RELEASED_MIMI } from "../mimi/config.ts";
import { createMimi, type Mimi } from "../mimi/mimi.ts";
import { PersonaPlex, personaPlexWindow, rolePrompt, VOICE_CODEBOOKS } from "../personaplex.ts";
import { SentencePiece } from "../sentencepiece/sentencepiece.ts";
import { TextStream } from "../sentencepiece/text-stream.ts";
import { SpeechToText, silenceAround } from "../speech-to-text.ts";
import { openPublished } from "../tensor-names.ts";
import { readVoiceState } from "../voice-state.ts";

/** A translation is behind its source by up to this, ms: about as much as the models were trained to wait. */
const TRANSLATION_LAG_MS = 3000;

/** As published with Moshi, and used by its server and PersonaPlex. */
const USUAL = {
  audioTemperature: 0.8,
  audioTopK: 250,
  textTemperature: 0.7,
  textTopK: 25,
} as const;

/** How a conversation is to be. */
export interface DialogueSettings {
  /** How the layers' matrices are held; "as-stored" takes the nearest to what the file holds. */
  weights: MatrixFormat | "as-stored";
  /** For text and sound; null for what the checkpoint says, or else the family's usual. 0 is greedy. */
  temperature: number | null;
  seed: number;
  /** Of PersonaPlex: path of a converted voice, or null; and the role, "" for none. */
  persona: { voice: string | null; role: string };
}

/** How far what a model puts out lies behind what it hears, ms. */
export function lagMsOf({ kind, config }: MoshiFiles): number {
  if (kind === "stt") return 1000 * silenceAround(config).after;
  return kind === "hibiki" ? TRANSLATION_LAG_MS : FRAME_MS * Math.max(...config.delays);
}

/**
 * Brings a checkpoint to the device and makes a conversation of it. One frame has run and is forgotten.
 *
 * @param gpu Borrowed; what is built lives as long as it does.
 * @throws RuntimeError "invalid-checkpoint", "missing-file", "gpu-compile", "gpu-out-of-memory" or "gpu-device-lost".
 */
export async function buildDialogue(
  gpu: Gpu,
  files: MoshiFiles,
  settings: DialogueSettings,
): Promise<Dialogue> {
  const { config, kind } = files;
  const tokenizer = await openTokenizer(files);
  const tensors = await openLanguageModel(files);
  let model: GpuLanguageModel;
  try {
    const format = formatOf(tensors, settings.weights);
    const options = await optionsOf(files, tensors, settings);
    model = await createLanguageModel(gpu, config, tensors, { ...options, format });
  } finally {
    await tensors.close();
  }
  const codec = await openCodec(gpu, files);
  if (kind === "stt") {
    const tap = new TokenTap(model);
    return new TranscribingDialogue({
      transcriber: new SpeechToText(tap, config, (tokens) => tokenizer.decode(tokens)),
      tap,
      codec,
      silentFrames: Math.round(silenceAround(config).before * FRAME_RATE_HZ),
    });
  }
  const voiceCodebooks = kind === "personaplex" ? VOICE_CODEBOOKS : config.depQ;
  const spoken = await SpokenModel.create(gpu, model, codec, voiceCodebooks);
  const tap = new TokenTap(spoken);
  return new SpeakingDialogue({
    ...(await sourceOf(files, tap, tokenizer, settings)),
    tap,
    codec: {
      encode: (pcm) => codec.encode(pcm),
      decode: (codes) => spoken.decode(codes),
      reset: () => codec.reset(),
    },
    voiceCodebooks,
    text: new TextStream(tokenizer),
  });
}

function openLanguageModel({ model, adapters, config }: MoshiFiles): Promise<TensorFile> {
  return openPublished(model, {
    ...(config.depth ? { schedule: config.depth.schedule } : {}),
    ...(adapters === null ? {} : { adapters: { path: adapters, scaling: config.loraScaling } }),
  });
}

async function openTokenizer({ tokenizer: path, config }: MoshiFiles): Promise<SentencePiece> {
  const tokenizer = await SentencePiece.open(path);
  if (tokenizer.size < config.textCardOut) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "tokenizer",
      problem: `${path} has ${tokenizer.size} pieces, expected the language model's ${config.textCardOut}`,
    });
  }
  return tokenizer;
}

async function openCodec(gpu: Gpu, { mimi, mimiConfig, kind, config }: MoshiFiles): Promise<Mimi> {
  const mimiSizes =
    mimiConfig === null ? RELEASED_MIMI : parseMimiConfig(await readFile(mimiConfig, "utf8"), mimiConfig);
  const nCodebooks = kind === "personaplex" ? VOICE_CODEBOOKS : codebooksOf(config);
  const tensors = await openTensors(mimi);
  try {
    return await createMimi(gpu, mimiSizes, tensors, { nCodebooks });
  } finally {
    await tensors.close();
  }
}

/** What makes the tokens, and what it is prompted with. */
async function sourceOf(
  { kind, config }: MoshiFiles,
  tap: TokenTap,
  tokenizer: SentencePiece,
  { persona }: DialogueSettings,
): Promise<{ source: TokenSource; prompt?: () => Promise<void> }> {
  if (kind === "hibiki") return { source: new Hibiki(tap, config) };
  if (kind !== "personaplex") return { source: new MoshiSource(new Generation(tap, config)) };
  const source = new PersonaPlex(tap, config);
  if (persona.voice === null && persona.role.trim() === "") return { source };
  const voice = persona.voice === null ? [] : await readVoiceState(persona.voice, config);
  const role = rolePrompt(persona.role);
  const text = role === "" ? [] : tokenizer.encode(role);
  return {
    source,
    async prompt() {
      for await (const _ of source.prompt({ voice, text })) {
        // What the steps give is not heard: the conversation has not begun.
      }
    },
  };
}

async function optionsOf(
  { kind, config }: MoshiFiles,
  tensors: TensorFile,
  { temperature, seed }: DialogueSettings,
): Promise<LanguageModelOptions> {
  const options: LanguageModelOptions = { ...samplingOf(kind, config, temperature), seed };
  if (kind === "personaplex") options.window = personaPlexWindow(config.context);
  if (kind === "hibiki" && config.conditioners.has("description")) {
    options.conditions = await readConditions(tensors, config, { description: HIBIKI_QUALITY });
  }
  return options;
}

/** What was asked for, else what the checkpoint says, else the usual: nothing is left to chance in a transcript. */
function samplingOf(
  kind: MoshiFiles["kind"],
  { sampling }: MoshiConfig,
  temperature: number | null,
): { text: Sampling; audio: Sampling } {
  const usualText = kind === "stt" ? 0 : USUAL.textTemperature;
  return {
    text: {
      temperature: temperature ?? sampling.textTemperature ?? usualText,
      topK: sampling.textTopK ?? USUAL.textTopK,
    },
    audio: {
      temperature: temperature ?? sampling.audioTemperature ?? USUAL.audioTemperature,
      topK: sampling.audioTopK ?? USUAL.audioTopK,
    },
  };
}

/** The nearest to what the first layer's matrices are stored in that there is a kernel for. */
function formatOf({ tensors }: TensorFile, weights: DialogueSettings["weights"]): MatrixFormat {
  if (weights !== "as-stored") return weights;
  const stored = [...tensors.values()].find(({ name }) => /layers\.0\.self_attn\.in_proj/.test(name))?.dtype;
  if (stored === "F32") return "f32";
  if (stored?.startsWith("Q4") || stored?.startsWith("Q5")) return "q4";
  return stored?.startsWith("Q") || stored === "I8" ? "q8" : "f16";
}
