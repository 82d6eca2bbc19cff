import { expectLength } from "../../src/core/errors.ts";
import type { Codec } from "./codec.ts";
import type { Generation, GenerationStep } from "./generation.ts";
import type { FrameInput, FrameOutput, LanguageModel } from "./language-model.ts";
import { FRAME_SAMPLES } from "./mimi/config.ts";
import type { TextStream } from "./sentencepiece/text-stream.ts";
import type { SpeakerEnded, SpeechToText } from "./speech-to-text.ts";
import { TEXT_PAD } from "./streams.ts";
import type { Picture } from "./vision/picture.ts";

/** Sound of the family: mono. */
export const SAMPLE_RATE_HZ = 24_000;
/** What a frame lasts, ms: the micro-turn of this family. */
export const FRAME_MS = 80;

/** What is heard in one frame. */
export interface HeardFrame {
  /** (1920) f32 in [-1, 1]; null without a microphone: silence. Borrowed. */
  pcm: Float32Array | null;
  /** True if nothing but silence follows. */
  isLast: boolean;
  /** What the conversation is about from this frame on, for a model that sees. Borrowed. */
  picture?: Picture;
}

/** A word that was heard, and when it began: ms since the first sample of the session's first frame. */
export interface Caption {
  text: string;
  startMs: number;
}

/** What comes of one frame. */
export interface FrameReply {
  /** Every token that was sampled in this frame: text, then audio codebooks, of each run of the network. */
  tokens: number[];
  /** (1920) f32, or null while there is nothing to sound. May go beyond [-1, 1]. */
  sound: Float32Array | null;
  /** What the sound says: a piece of a word, where a leading space begins a new one; "" for none. */
  text: string;
  /** Words of speech to text that are complete now. */
  captions: Caption[];
  /** Of speech to text: whoever was heard seems to have ended. Told once, and again only after another word. */
  ended?: SpeakerEnded;
}

/** A model of the family as a conversation: frames of sound go in, and what comes of each comes out. */
export interface Dialogue {
  /** Forgets the conversation and puts what belongs before a new one: a prompt, or silence. The next frame is its first. */
  reset(): Promise<void>;
  /** One frame. One call at a time. @throws RuntimeError "shape-mismatch" if it is another length. */
  step(frame: HeardFrame): Promise<FrameReply>;
}

/** A language model, of which every token that it samples is kept until it is asked for. */
export class TokenTap implements LanguageModel {
  readonly #model: LanguageModel;
  #tokens: number[] = [];

  constructor(model: LanguageModel) {
    this.#model = model;
  }

  /** What was sampled since this was called last. */
  take(): number[] {
    return this.#tokens.splice(0);
  }

  async frame(input: FrameInput): Promise<FrameOutput> {
    const output = await this.#model.frame(input);
    this.#tokens.push(output.text, ...output.audio);
    return output;
  }

  reset(): Promise<void> {
    this.#tokens = [];
    return this.#model.reset();
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}

/** What makes the tokens of a conversation out of the codes of what is heard. */
export interface TokenSource {
  /** @param codes of the newest frame. */
  step(codes: Int32Array): Promise<Pick<GenerationStep, "frame"> & { last?: boolean }>;
  /** In the place of `step`, once, where the model knows an end of what is heard. */
  endInput?(): ReturnType<TokenSource["step"]>;
  /** From the next step on sees an image: its tokens, (length, dim). For a model that sees. */
  see?(image: Float32Array): void;
  reset(): Promise<void>;
}

export interface SpeakingDialogueOptions {
  source: TokenSource;
  /** The one that the source runs on. */
  tap: TokenTap;
  /** `decode` is asked for the sound of each frame right after the step that completes it. */
  codec: Pick<Codec, "encode" | "decode" | "reset">;
  /** Codes of a frame that are the model's own voice: those after its text. */
  voiceCodebooks: number;
  text: Pick<TextStream, "push" | "reset">;
  /** Brought before each conversation. */
  prompt?: () => Promise<void>;
  /** Turns a picture into the tokens that `source.see` is given, a part of the work in each frame. */
  look?: (picture: Picture) => AsyncGenerator<void, Float32Array, void>;
}

/**
 * A Moshi's own source: its first frame is given twice, as the network does not see the codes of its very first step.
 */
export class MoshiSource implements TokenSource {
  readonly #generation: Generation;
  /** What the next step is to see; null for what the step before saw. */
  #image: Float32Array | null = null;

  constructor(generation: Generation) {
    this.#generation = generation;
  }

  async step(codes: Int32Array): Promise<GenerationStep> {
    const brought = this.#image ? { image: this.#image } : {};
    this.#image = null;
    if (this.#generation.steps > 0) return this.#generation.step(codes, brought);
    await this.#generation.step(codes, brought);
    return this.#generation.step(codes);
  }

  see(image: Float32Array): void {
    this.#image = image;
  }

  reset(): Promise<void> {
    this.#image = null;
    return this.#generation.reset();
  }
}

/** A conversation with a model that speaks: Moshi, PersonaPlex, Hibiki. */
export class SpeakingDialogue implements Dialogue {
  readonly #options: SpeakingDialogueOptions;
  #input: "open" | "ending" | "ended" = "open";
  /** True when a translation is complete. */
  #isOver = false;
  /** A picture that is being taken in. */
  #looking: AsyncGenerator<void, Float32Array, void> | null = null;

  constructor(options: SpeakingDialogueOptions) {
    this.#options = options;
  }

  async reset(): Promise<void> {
    const { source, tap, codec, text, prompt } = this.#options;
    this.#input = "open";
    this.#isOver = false;
    await this.#lookAt(null);
    await source.reset();
    await prompt?.();
    tap.take();
    await codec.reset();
    text.reset();
  }

  async step({ pcm, isLast, picture }: HeardFrame): Promise<FrameReply> {
    if (this.#isOver) return { tokens: [], sound: null, text: "", captions: [] };
    const { source, tap, codec, voiceCodebooks, text } = this.#options;
    if (picture) await this.#lookAt(picture);
    await this.#takeIn();
    // The codec hears all that there is, so that it knows what comes before the next frame.
    const codes = await codec.encode(soundOf(pcm));
    const ends = this.#input === "ending" && source.endInput !== undefined;
    const { frame, last = false } = ends ? await source.endInput!() : await source.step(codes);
    if (this.#input === "ending") this.#input = "ended";
    else if (isLast && this.#input === "open") this.#input = "ending";
    this.#isOver = last;
    return {
      tokens: tap.take(),
      sound: frame ? await codec.decode(frame.slice(1, 1 + voiceCodebooks)) : null,
      text: text.push(frame?.[0] ?? TEXT_PAD),
      captions: [],
    };
  }

  /** Gives up the picture before. */
  async #lookAt(picture: Picture | null): Promise<void> {
    await this.#looking?.return(new Float32Array());
    this.#looking = (picture && this.#options.look?.(picture)) ?? null;
  }

  async #takeIn(): Promise<void> {
    const looking = this.#looking;
    // What throws is over.
    this.#looking = null;
    const part = await looking?.next();
    if (part?.done) this.#options.source.see?.(part.value);
    else this.#looking = looking;
  }
}

export interface TranscribingDialogueOptions {
  transcriber: Pick<SpeechToText, "step" | "reset">;
  /** The one that the transcriber runs on. */
  tap: TokenTap;
  codec: Codec;
  /** Frames of silence before the speech, as the checkpoint wants them. */
  silentFrames: number;
}

/** A model that writes down what it hears, word by word. It says nothing. */
export class TranscribingDialogue implements Dialogue {
  readonly #options: TranscribingDialogueOptions;

  constructor(options: TranscribingDialogueOptions) {
    this.#options = options;
  }

  async reset(): Promise<void> {
    const { transcriber, tap, codec, silentFrames } = this.#options;
    await transcriber.reset();
    await codec.reset();
    for (let i = 0; i < silentFrames; i++) await transcriber.step(await codec.encode(soundOf(null)));
    tap.take();
  }

  async step({ pcm }: HeardFrame): Promise<FrameReply> {
    const { transcriber, tap, codec } = this.#options;
    const { words, ended } = await transcriber.step(await codec.encode(soundOf(pcm)));
    const captions = words.flatMap((word) =>
      word.kind === "word" ? [{ text: word.text, startMs: 1000 * word.startSeconds }] : [],
    );
    const reply: FrameReply = { tokens: tap.take(), sound: null, text: "", captions };
    if (ended) reply.ended = ended;
    return reply;
  }
}

function soundOf(pcm: Float32Array | null): Float32Array {
  if (!pcm) return new Float32Array(FRAME_SAMPLES);
  expectLength("dialogue", "a frame of sound", pcm.length, FRAME_SAMPLES);
  return pcm;
}
