import type {
  FrameInput,
  FrameOutput,
  LanguageModel,
  LanguageModelOptions,
  Sampling,
} from "../../../../models/moshi/language-model.ts";
import { seededRandom } from "../../../timeline/random.ts";
import type { ReferenceConfig } from "./config.ts";
import { softmax, type Vector, type Weights } from "./layers.ts";
import { ReferenceSequence } from "./network.ts";

const TEXT_PADDING = 3;

/** Greedy unless said otherwise. */
const GREEDY: LanguageModelOptions = {
  text: { temperature: 0, topK: 0 },
  audio: { temperature: 0, topK: 0 },
  seed: 0,
};

/** A language model in double precision on the CPU, which judges the others. Memory grows with the session. */
export function referenceLanguageModel(
  config: ReferenceConfig,
  weights: Weights,
  given: Partial<LanguageModelOptions> = {},
): LanguageModel {
  const options = { ...GREEDY, ...given };
  const { guidance } = options;
  const window = options.window ?? config.context;
  const begin = (): { halves: ReferenceSequence[]; uniform: () => number } => ({
    halves: [options.conditions, ...(guidance ? [guidance.conditions] : [])].map(
      (conditions) => new ReferenceSequence(config, weights, conditions, window),
    ),
    uniform: seededRandom(options.seed),
  });
  let session = begin();

  /** What comes of the conditioned logits and, where there is guidance, of those without the condition. */
  const guided = ([conditioned, absent]: Vector[]): Vector =>
    absent
      ? conditioned!.map((value, i) => absent[i]! + (value - absent[i]!) * guidance!.coefficient)
      : conditioned!;

  const frame = async (input: FrameInput): Promise<FrameOutput> => {
    const { halves, uniform } = session;
    const steps = input.depthSteps ?? config.depQ;
    if (input.image !== undefined) for (const half of halves) half.see(input.image);
    const outputs = halves.map((half) => half.temporal(input.tokens, input.embedding));
    const textLogits = guided(halves.map((half, i) => half.textLogits(outputs[i]!)));
    textLogits[TEXT_PADDING]! += options.textPaddingBonus ?? 0;
    const text = draw(textLogits, options.text, uniform);
    const depths = halves.map((half, i) => half.depthFrame(outputs[i]!));
    const audio = new Int32Array(steps);
    const depthLogits: number[] = [];
    let before = typeof input.text === "function" ? input.text(text) : (input.text ?? text);
    for (let k = 0; k < steps; k++) {
      const logits = guided(depths.map((depth) => depth.step(k, before)));
      audio[k] = draw(logits, options.audio, uniform);
      before = input.audio?.[k] ?? audio[k]!;
      depthLogits.push(...logits);
    }
    const inspected = {
      textLogits: Float32Array.from(textLogits),
      transformerOut: Float32Array.from(outputs[0]!),
      depthLogits: Float32Array.from(depthLogits),
    };
    const extraHeads = halves[0]!.extraHeads(outputs[0]!);
    const gateOpening = halves[0]!.gateOpening;
    return {
      text,
      audio,
      extraHeads,
      ...(gateOpening === null ? {} : { gateOpening }),
      ...(input.inspect ? { inspected } : {}),
    };
  };

  return {
    frame,
    reset: async () => {
      session = begin();
    },
    close: async () => {},
  };
}

/** The likeliest at temperature 0, else drawn among the topK likeliest. */
function draw(logits: Vector, { temperature, topK }: Sampling, uniform: () => number): number {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (temperature === 0) return order[0]!;
  const kept = order.slice(0, topK === 0 ? undefined : topK);
  const chances = softmax(Float64Array.from(kept, (token) => logits[token]! / temperature));
  let left = uniform();
  const place = chances.findIndex((chance) => {
    left -= chance;
    return left < 0;
  });
  return kept[place < 0 ? kept.length - 1 : place]!;
}
