import type { Gpu } from "../../../src/gpu/device.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { readConditions } from "../conditioners.ts";
import { codebooksOf, FRAME_RATE_HZ } from "../config.ts";
import type { Conversation, ConversationDefaults } from "../conversation.ts";
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
import {
  createLanguageModel,
  type GpuLanguageModel,
  type GpuLanguageModelOptions,
} from "../gpu/gpu-language-model.ts";
import { SpokenModel } from "../gpu/spoken-model.ts";
import { HIBIKI_QUALITY, Hibiki } from "../hibiki.ts";
import { PersonaPlex, type Prompt, personaPlexWindow, rolePrompt, VOICE_CODEBOOKS } from "../personaplex.ts";
import type { SentencePiece } from "../sentencepiece/sentencepiece.ts";
import { TextStream } from "../sentencepiece/text-stream.ts";
import { SpeechToText, silenceAround } from "../speech-to-text.ts";
import { imageTokens } from "../vision/config.ts";
import { ImageEncoder } from "../vision/image-encoder.ts";
import { type Picture, squareOf } from "../vision/picture.ts";
import { readVoiceState } from "../voice-state.ts";
import {
  formatOf,
  type HeldWeights,
  openCodec,
  openLanguageModel,
  openTokenizer,
} from "./open-checkpoint.ts";

/** A translation is behind its source by up to this, ms: about as much as the models were trained to wait. */
const TRANSLATION_LAG_MS = 3000;

/** How a model is loaded. */
export interface DialogueSettings extends ConversationDefaults {
  weights: HeldWeights;
}

/** A dialogue on the device. */
export interface BuiltDialogue {
  dialogue: Dialogue;
  /**
   * Has conversations be so, from the dialogue's next reset on. Nothing changes where it throws.
   * @throws RuntimeError "missing-file" or "invalid-checkpoint" for a voice that cannot be read.
   */
  prepare(conversation: Conversation): Promise<void>;
}

/** How far what a model puts out lies behind what it hears, ms. */
export function lagMsOf({ kind, config }: MoshiFiles): number {
  if (kind === "stt") return 1000 * silenceAround(config).after;
  return kind === "hibiki" ? TRANSLATION_LAG_MS : FRAME_MS * Math.max(...config.delays);
}

/**
 * Brings a checkpoint to the device and makes a dialogue of it. One frame has run and is forgotten.
 *
 * @param conversation How its conversations are until it is prepared for others.
 * @param gpu Borrowed; what is built lives as long as it does.
 * @throws RuntimeError "invalid-checkpoint", "missing-file", "gpu-compile", "gpu-out-of-memory" or "gpu-device-lost".
 */
export async function buildDialogue(
  gpu: Gpu,
  files: MoshiFiles,
  weights: DialogueSettings["weights"],
  conversation: Conversation,
): Promise<BuiltDialogue> {
  const { config, kind } = files;
  const tokenizer = await openTokenizer(files);
  const encoder =
    files.vision === null
      ? null
      : await ImageEncoder.open({ path: files.vision, outDim: config.temporal.dim });
  const tensors = await openLanguageModel(files);
  let model: GpuLanguageModel;
  try {
    const format = formatOf(tensors, weights);
    const options = await optionsOf(files, tensors, conversation);
    // Without an encoder no image will ever come.
    options.maxImageTokens = encoder ? imageTokens(encoder.config) : 1;
    model = await createLanguageModel(gpu, config, tensors, { ...options, format });
  } finally {
    await tensors.close();
  }
  model.drawAs(conversation.draws);
  const heardCodebooks = kind === "personaplex" ? VOICE_CODEBOOKS : codebooksOf(config);
  const codec = await openCodec(gpu, files, heardCodebooks);
  if (kind === "stt") {
    const tap = new TokenTap(model);
    const dialogue = new TranscribingDialogue({
      transcriber: new SpeechToText(tap, config, (tokens) => tokenizer.decode(tokens)),
      tap,
      codec,
      silentFrames: Math.round(silenceAround(config).before * FRAME_RATE_HZ),
    });
    return { dialogue, prepare: async ({ draws }) => model.drawAs(draws) };
  }
  const voiceCodebooks = kind === "personaplex" ? VOICE_CODEBOOKS : config.depQ;
  const spoken = await SpokenModel.create(gpu, model, codec, voiceCodebooks);
  const tap = new TokenTap(spoken);
  const { source, prompt, setPersona } = sourceOf(files, tap, tokenizer);
  await setPersona?.(conversation.persona);
  const dialogue = new SpeakingDialogue({
    source,
    ...(prompt ? { prompt } : {}),
    ...(encoder ? { look: lookWith(encoder) } : {}),
    tap,
    codec: {
      encode: (pcm) => codec.encode(pcm),
      decode: (codes) => spoken.decode(codes),
      reset: () => codec.reset(),
    },
    voiceCodebooks,
    text: new TextStream(tokenizer),
  });
  return {
    dialogue,
    async prepare({ draws, persona }) {
      await setPersona?.(persona);
      model.drawAs(draws);
    },
  };
}

function lookWith(encoder: ImageEncoder): (picture: Picture) => ReturnType<ImageEncoder["encode"]> {
  return async function* (picture) {
    return yield* encoder.encode(await squareOf(picture, encoder.config.imageSize));
  };
}

/** What makes the tokens, what it is prompted with, and how that is changed. */
interface Sourced {
  source: TokenSource;
  prompt?: () => Promise<void>;
  setPersona?: (persona: Conversation["persona"]) => Promise<void>;
}

function sourceOf({ kind, config }: MoshiFiles, tap: TokenTap, tokenizer: SentencePiece): Sourced {
  if (kind === "hibiki") return { source: new Hibiki(tap, config) };
  if (kind !== "personaplex") return { source: new MoshiSource(new Generation(tap, config)) };
  const source = new PersonaPlex(tap, config);
  let prompt: Prompt | null = null;
  return {
    source,
    async prompt() {
      if (prompt === null) return;
      for await (const _ of source.prompt(prompt)) {
        // What the steps give is not heard: the conversation has not begun.
      }
    },
    async setPersona({ voice: path, role }) {
      const voice = path === null ? [] : await readVoiceState(path, config);
      const text = role.trim() === "" ? [] : tokenizer.encode(rolePrompt(role));
      prompt = path === null && text.length === 0 ? null : { voice, text };
    },
  };
}

async function optionsOf(
  { kind, config }: MoshiFiles,
  tensors: TensorFile,
  { draws }: Conversation,
): Promise<Omit<GpuLanguageModelOptions, "format">> {
  const { text, audio, textSeed: seed } = draws;
  const options: Omit<GpuLanguageModelOptions, "format"> = { text, audio, seed };
  if (kind === "personaplex") {
    options.window = personaPlexWindow(config.context);
    // What it predicts of the user's voice changes nothing that it says.
    options.maxDepthSteps = VOICE_CODEBOOKS;
  }
  if (kind === "hibiki" && config.conditioners.has("description")) {
    options.conditions = await readConditions(tensors, config, { description: HIBIKI_QUALITY });
  }
  return options;
}
