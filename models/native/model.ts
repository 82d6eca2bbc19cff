import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import { stderrLog } from "../../src/core/log.ts";
import type { MicroTurnInput, MicroTurnOutput, VideoFrame } from "../../src/core/micro-turn.ts";
import type { InteractionModel, ModelDescription, Perception } from "../../src/core/model.ts";
import { checkRequested } from "../../src/gpu/kernel-check.ts";
import { GREEDY, type InputBlock, type NativeBackend, type Sampling, type WeightFormat } from "./backend.ts";
import { type Checkpoint, loadCheckpoint } from "./checkpoint.ts";
import { type BackendChoice, type ChosenBackend, chooseBackend } from "./choose-backend.ts";
import { type NativeConfig, pcmLength } from "./config.ts";
import { OutputDecoder } from "./output.ts";
import { TextQueue } from "./text-queue.ts";
import { NativeTokenizer } from "./tokenizer.ts";
import { toldText } from "./told-text.ts";
import { reducedFrame, VideoFeatures } from "./video-features.ts";

export interface NativeModelOptions {
  /** Folder of config.json, model.safetensors and tokenizer.json. */
  directory: string;
  backend: BackendChoice;
  /** Default "as-stored". */
  weights?: WeightFormat;
  /** Default greedy. */
  sampling?: Sampling;
}

/**
 * Loads a native checkpoint and starts a backend for it.
 *
 * @throws RuntimeError "missing-file" or "invalid-checkpoint" naming the fault; "gpu-unavailable" if the GPU was asked
 *   for by name and there is none.
 */
export async function loadNativeModel(options: NativeModelOptions): Promise<InteractionModel> {
  const { directory, backend, weights = "as-stored", sampling = GREEDY } = options;
  const checkpoint = await loadCheckpoint(directory);
  const tokenizer = await NativeTokenizer.load(checkpoint);
  const chosen = await chooseBackend(backend, { checkpoint, weights, sampling });
  if (checkRequested && chosen.backend.kind === "cpu") {
    stderrLog.write(
      "warning",
      "kernel check",
      "CHECK=1 has nothing to compare on the CPU backend; --backend gpu runs the kernels",
    );
  }
  return new NativeModel(checkpoint, tokenizer, chosen);
}

/** The native family's model: prepares what the backend perceives and reads what it says. */
export class NativeModel implements InteractionModel {
  readonly perception: Perception;
  readonly description: ModelDescription;
  readonly #config: NativeConfig;
  readonly #backend: NativeBackend;
  readonly #tokenizer: NativeTokenizer;
  readonly #typed: TextQueue;
  readonly #video: VideoFeatures;
  readonly #output: OutputDecoder;
  /** The last samples heard, for the first window of the next interval; zeros at the start. */
  readonly #history: Float32Array;
  #isStepping = false;

  constructor({ config }: Checkpoint, tokenizer: NativeTokenizer, { backend, reason }: ChosenBackend) {
    this.perception = {
      microTurnMs: config.microTurnMs,
      audioSampleRateHz: config.audio.sampleRateHz,
      videoFramesPerMicroTurn: config.video.framesPerMicroTurn,
    };
    this.description = { model: config.name, backend: backend.kind, adapter: backend.adapter, reason };
    this.#config = config;
    this.#backend = backend;
    this.#tokenizer = tokenizer;
    this.#typed = new TextQueue(config.limits.textTokensPerMicroTurn);
    this.#video = new VideoFeatures(config);
    this.#output = new OutputDecoder(config, tokenizer);
    this.#history = new Float32Array(config.audio.window - config.audio.hop);
  }

  async step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    const last = inputs.at(-1);
    if (!last || this.#isStepping) {
      throw new RuntimeError("invalid-argument", {
        part: "native model",
        problem: last ? "step was called before the step before it settled" : "step was given no micro-turn",
      });
    }
    this.#isStepping = true;
    try {
      const tokens = await this.#backend.step(inputs.map((input) => this.#prepare(input)));
      const unfinished = tokens.at(-1) !== this.#config.tokens.next; // closed by the cap, perhaps within a word
      return { index: last.index, tokens, parts: this.#output.decode(tokens), unfinished };
    } finally {
      this.#isStepping = false;
    }
  }

  reduceFrame(frame: VideoFrame): VideoFrame {
    return reducedFrame(frame, this.#config.video.width, this.#config.video.height);
  }

  async reset(): Promise<void> {
    this.#typed.clear();
    this.#video.reset();
    this.#output.reset();
    this.#history.fill(0);
    await this.#backend.reset();
  }

  async close(): Promise<void> {
    await this.#backend.close();
  }

  #prepare(input: MicroTurnInput): InputBlock {
    for (const event of input.events) {
      const dropped = this.#typed.add(this.#tokenizer.encodeTyped(toldText(event)));
      if (dropped > 0) {
        stderrLog.write(
          "warning",
          "native model",
          `${dropped} text tokens dropped: too many wait to be read`,
        );
      }
    }
    return {
      turn: input.index,
      pcm: this.#hear(input.audio),
      video: this.#video.take(input.frames, input.startMs, input.durationMs),
      told: this.#typed.take(),
    };
  }

  /** The interval with the history before it; keeps the history of the next. */
  #hear(audio: Float32Array | null): Float32Array | null {
    if (!audio) return null;
    const history = this.#history.length;
    expectLength("native model", "audio", audio.length, pcmLength(this.#config) - history);
    const pcm = new Float32Array(history + audio.length);
    pcm.set(this.#history);
    pcm.set(audio, history);
    this.#history.set(pcm.subarray(-history));
    return pcm;
  }
}
