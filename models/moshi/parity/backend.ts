import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { Codec } from "../codec.ts";
import type { MoshiConfig } from "../config.ts";
import type { LanguageModel, LanguageModelOptions } from "../language-model.ts";
import type { MimiConfig } from "../mimi/config.ts";

/** How the large matrices of a language model are held. */
export type ParityWeights = "f32" | "f16" | "q8" | "q4";

/** What is compared with the original. */
export interface ParityBackend {
  /** The adapter, for the report. */
  readonly adapter: string;
  readonly weights: ParityWeights;
  openLanguageModel(
    config: MoshiConfig,
    tensors: TensorFile,
    options: LanguageModelOptions,
  ): Promise<LanguageModel>;
  openCodec(config: MimiConfig, tensors: TensorFile): Promise<ParityCodec>;
  close(): void;
}

export interface ParityCodec {
  readonly codec: Codec;
  /** (dim) the last encoded frame's latent before it was quantised. */
  latent(): Promise<Float32Array>;
}
