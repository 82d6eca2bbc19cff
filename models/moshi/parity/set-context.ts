import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { MoshiConfig } from "../config.ts";
import type { LanguageModel, LanguageModelOptions } from "../language-model.ts";
import type { ParityBackend } from "./backend.ts";
import type { ParitySet } from "./parity-set.ts";

const GREEDY: LanguageModelOptions = {
  text: { temperature: 0, topK: 0 },
  audio: { temperature: 0, topK: 0 },
  seed: 0,
};

/** What an f32 implementation may differ by, absolute: logits have a standard deviation of 2 to 5. */
export const LOGIT_TOLERANCE = 1e-4;

/** What the checks of one set share. */
export interface SetContext {
  set: ParitySet;
  config: MoshiConfig;
  tensors: TensorFile;
  backend: ParityBackend;
  /** Whether differences fail; with coarser weights they are reported only. */
  judged: boolean;
}

/** Runs `use` with a greedy model, and closes it. */
export async function withModel<Result>(
  { backend, config, tensors }: SetContext,
  options: Partial<LanguageModelOptions>,
  use: (model: LanguageModel) => Promise<Result>,
): Promise<Result> {
  const model = await backend.openLanguageModel(config, tensors, { ...GREEDY, ...options });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}
