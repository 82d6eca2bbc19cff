import { RuntimeError } from "../core/errors.ts";
import type { SessionOptions } from "./session.ts";
import { SOUND_FORMATS, type SoundFormat } from "./sound.ts";

/** Longer roles than this are no roles, characters. */
const MAX_PROMPT_CHARS = 4000;
const MAX_NAME_CHARS = 200;
const MAX_TEMPERATURE = 10;
/** At a lower one logits divided by it may be beyond what a float holds; this is as good as greedy. */
const MIN_TEMPERATURE = 0.001;
/** No vocabulary is larger. */
const MAX_TOP_K = 1_000_000;
const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** What a client asks for in the query of its request. */
export interface ChatRequest {
  format: SoundFormat;
  /** The server ends the session after so many frames; null for no end. */
  maxSteps: number | null;
  options: SessionOptions;
}

/**
 * Reads the query of a request. Parameters that are not known are passed over: the published clients send some that mean
 * nothing here, such as `email`.
 *
 * @throws RuntimeError "invalid-argument" that names the parameter and what it may be.
 */
export function parseChatRequest(query: URLSearchParams): ChatRequest {
  const format = value(query, "format") ?? "opus";
  const known = SOUND_FORMATS.find((candidate) => candidate === format);
  if (known === undefined) throw wrong("format", format, `one of ${SOUND_FORMATS.join(", ")}`);
  // PersonaPlex clients say -1 for a seed of the server's choice.
  const seed = number(query, "seed", { min: -1, max: MAX_SEED, integer: true });
  const topK = { min: 0, max: MAX_TOP_K, integer: true };
  const anySeed = { min: 0, max: MAX_SEED, integer: true };
  const options: { [Option in keyof SessionOptions]: SessionOptions[Option] | undefined } = {
    textTemperature: temperature(query, "text_temperature"),
    textTopK: number(query, "text_topk", topK),
    audioTemperature: temperature(query, "audio_temperature"),
    audioTopK: number(query, "audio_topk", topK),
    textSeed: number(query, "text_seed", anySeed),
    audioSeed: number(query, "audio_seed", anySeed),
    seed: seed === -1 ? undefined : seed,
    padMultiplier: unless(0, number(query, "pad_mult", { min: -20, max: 20 })),
    ...repetition(query),
    voicePrompt: voiceName(query),
    textPrompt: role(query),
  };
  return {
    format: known,
    maxSteps: number(query, "max_steps", { min: 1, max: MAX_SEED, integer: true }) ?? null,
    options: Object.fromEntries(Object.entries(options).filter(([, given]) => given !== undefined)),
  };
}

/** A penalty of 1 is none, whatever its context. */
function repetition(query: URLSearchParams): Partial<SessionOptions> {
  const repetitionPenalty = unless(1, number(query, "repetition_penalty", { min: 1, max: 10 }));
  const context = number(query, "repetition_penalty_context", { min: 0, max: 10_000, integer: true });
  if (repetitionPenalty === undefined) return {};
  return context === undefined
    ? { repetitionPenalty }
    : { repetitionPenalty, repetitionPenaltyContext: context };
}

/** The published clients send every parameter; one at which nothing changes asks for nothing. */
function unless(neutral: number, given: number | undefined): number | undefined {
  return given === neutral ? undefined : given;
}

/** A plain file name: what stands there becomes part of a path. */
function voiceName(query: URLSearchParams): string | undefined {
  const name = value(query, "voice_prompt");
  if (name === undefined || name === "") return undefined;
  if (name.length > MAX_NAME_CHARS || !/^[\p{L}\p{N}_@+-][\p{L}\p{N} _.@+-]*$/u.test(name)) {
    throw wrong(
      "voice_prompt",
      name,
      `a file name of at most ${MAX_NAME_CHARS} letters, figures and . _ - @ +`,
    );
  }
  return name;
}

function role(query: URLSearchParams): string | undefined {
  const text = value(query, "text_prompt")?.trim();
  if (text === undefined || text === "") return undefined;
  if (text.length > MAX_PROMPT_CHARS) {
    throw wrong("text_prompt", `${text.length} characters`, `at most ${MAX_PROMPT_CHARS} characters`);
  }
  return text;
}

/** 0 is greedy. */
function temperature(query: URLSearchParams, name: string): number | undefined {
  const given = number(query, name, { min: 0, max: MAX_TEMPERATURE });
  if (given === undefined || given === 0 || given >= MIN_TEMPERATURE) return given;
  throw wrong(name, `${given}`, `0, or a number from ${MIN_TEMPERATURE} to ${MAX_TEMPERATURE}`);
}

function number(
  query: URLSearchParams,
  name: string,
  { min, max, integer = false }: { min: number; max: number; integer?: boolean },
): number | undefined {
  const text = value(query, name);
  if (text === undefined || text === "") return undefined;
  const given = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (!(given >= min && given <= max) || (integer && !Number.isInteger(given))) {
    throw wrong(name, text, `${integer ? "a whole number" : "a number"} from ${min} to ${max}`);
  }
  return given;
}

function value(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw wrong(name, `${values.length} values`, "one");
  return values[0];
}

function wrong(name: string, given: string, expected: string): RuntimeError {
  return new RuntimeError("invalid-argument", {
    part: name,
    problem: `'${given.slice(0, MAX_NAME_CHARS)}', expected ${expected}`,
  });
}
