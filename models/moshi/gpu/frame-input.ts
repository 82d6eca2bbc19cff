import { expectLength, RuntimeError } from "../../../src/core/errors.ts";
import type { MoshiConfig } from "../config.ts";
import { type FrameInput, type LanguageModelOptions, ZERO_TOKEN } from "../language-model.ts";
import type { CrossCondition } from "./cross-attention.ts";

const PART = "language model";

/**
 * Checks a frame before it reaches the device, where a token outside its table would read another one.
 *
 * @throws RuntimeError "shape-mismatch" for another length, "invalid-argument" for a token that does not exist.
 */
export function expectFrame(
  config: MoshiConfig,
  { maxDepthSteps, maxImageTokens }: { maxDepthSteps: number; maxImageTokens: number },
  input: FrameInput,
): void {
  const { nQ, depQ, card, temporal } = config;
  const { tokens, embedding, text, audio, depthSteps, image } = input;
  expectLength(PART, "tokens", tokens.length, 1 + nQ);
  if (embedding) expectLength(PART, "embedding", embedding.length, temporal.dim);
  if (audio) expectLength(PART, "audio", audio.length, depQ);
  if (image) expectImage(image, temporal.dim, maxImageTokens);
  if (depthSteps !== undefined) expectDepthSteps("depthSteps", depthSteps, maxDepthSteps);
  expectText(config, tokens[0]!);
  for (let q = 1; q <= nQ; q++) expectToken(`tokens[${q}]`, tokens[q]!, card);
  if (typeof text === "number") expectText(config, text);
  for (const [k, token] of audio?.entries() ?? [])
    if (token !== null) expectToken(`audio[${k}]`, token, card);
}

/** @param maxTokens 0 for a model that sees nothing. */
function expectImage(image: Float32Array, dim: number, maxTokens: number): void {
  if (maxTokens === 0) fail("an image was given to a model that sees nothing");
  const tokens = image.length / dim;
  if (Number.isInteger(tokens) && tokens >= 1 && tokens <= maxTokens) return;
  const problem = `an image holds ${image.length} elements, expected 1 to ${maxTokens} rows of ${dim}`;
  throw new RuntimeError("shape-mismatch", { part: PART, problem });
}

/** @throws RuntimeError "invalid-argument" for a text token that does not exist: two in one where the model has two streams. */
export function expectText({ demux, textCard }: MoshiConfig, token: number): void {
  const radix = textCard + 1;
  expectToken("text", token, demux ? radix * (radix + 1) - 1 : textCard);
}

/**
 * Checks what a session is to be like.
 *
 * @throws RuntimeError "shape-mismatch" for a condition of another length, "invalid-argument" for what cannot be.
 */
export function expectOptions(
  config: MoshiConfig,
  options: LanguageModelOptions & { maxDepthSteps: number },
): void {
  const { conditions, guidance, window, maxImageTokens } = options;
  expectDepthSteps("maxDepthSteps", options.maxDepthSteps, config.depQ);
  if (window !== undefined && !(Number.isInteger(window) && window >= 1)) {
    fail(`window is ${window}, expected at least 1`);
  }
  if (maxImageTokens !== undefined && !(Number.isInteger(maxImageTokens) && maxImageTokens >= 1)) {
    fail(`maxImageTokens is ${maxImageTokens}, expected at least 1`);
  }
  if (guidance && config.crossAttention === "gated") fail("guidance was given to a model that sees images");
  for (const { sum, cross } of [conditions ?? {}, guidance?.conditions ?? {}]) {
    if (sum) expectLength(PART, "conditions.sum", sum.length, config.temporal.dim);
    if (cross && (cross.length === 0 || cross.length % config.temporal.dim !== 0)) {
      const problem = `conditions.cross holds ${cross.length} elements, expected rows of ${config.temporal.dim}`;
      throw new RuntimeError("shape-mismatch", { part: PART, problem });
    }
    if (cross && config.crossAttention !== "plain")
      fail("conditions.cross was given to a model that does not attend to it");
  }
  if (guidance && conditions?.cross?.length !== guidance.conditions.cross?.length) {
    fail("conditions.cross and guidance.conditions.cross differ in length");
  }
}

/** What every layer attends to, of both sequences where there is guidance; null for nothing. */
export function crossCondition(config: MoshiConfig, options: LanguageModelOptions): CrossCondition | null {
  const { conditions, guidance } = options;
  if (!conditions?.cross) return null;
  const sources = [conditions.cross, ...(guidance?.conditions.cross ? [guidance.conditions.cross] : [])];
  const source = new Float32Array(sources.length * conditions.cross.length);
  for (const [s, cross] of sources.entries()) source.set(cross, s * conditions.cross.length);
  return { length: conditions.cross.length / config.temporal.dim, source };
}

function expectDepthSteps(name: string, steps: number, most: number): void {
  if (!(Number.isInteger(steps) && steps >= 0 && steps <= most))
    fail(`${name} is ${steps}, expected 0 to ${most}`);
}

function expectToken(name: string, token: number, largest: number): void {
  if (Number.isInteger(token) && token >= ZERO_TOKEN && token <= largest) return;
  fail(`${name} is ${token}, expected ${ZERO_TOKEN} to ${largest}`);
}

function fail(problem: string): never {
  throw new RuntimeError("invalid-argument", { part: PART, problem });
}
