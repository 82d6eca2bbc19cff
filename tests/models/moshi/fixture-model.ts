import type { LanguageModel, LanguageModelOptions } from "../../../models/moshi/language-model.ts";
import type { FixtureSet } from "./fixtures.ts";
import { type ReferenceConfig, referenceConfig } from "./reference/config.ts";
import { referenceLanguageModel } from "./reference/language-model.ts";

/** The double-precision network with a set's weights. */
export function fixtureModel(
  fixture: FixtureSet,
  options: (config: ReferenceConfig) => Partial<LanguageModelOptions> = () => ({}),
  depthWindow?: number,
): { config: ReferenceConfig; model: LanguageModel } {
  const config = referenceConfig(fixture.json("config.json") as Record<string, unknown>);
  if (depthWindow !== undefined) config.depth.window = depthWindow;
  const weights = fixture.tensors("model.safetensors");
  const model = referenceLanguageModel(config, (name) => weights(name).data, options(config));
  return { config, model };
}
