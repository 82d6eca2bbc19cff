import { expectLength, RuntimeError } from "../../src/core/errors.ts";
import type { FrameInput, FrameOutput, LanguageModel } from "./language-model.ts";
import { expectCodes, type StreamLayout, TEXT_PAD, TokenCache } from "./streams.ts";

/** Mimi's codes of silence, as the model was trained to be prompted with. */
export const SILENCE_CODES: readonly number[] = [948, 243, 1178, 546, 1736, 1030, 1978, 2008];
/** Mimi's codes of a sine of 440 Hz: what the user's side of a prompt holds. */
export const SINE_CODES: readonly number[] = [430, 1268, 381, 1611, 1095, 1495, 56, 472];
/** Frames of silence after the voice and after the role: half a second. */
const PAUSE_FRAMES = 6;
/** Codebooks of each speaker; the model predicts those of both. */
export const VOICE_CODEBOOKS = 8;

/** A voice as published, converted by `voices/convert.py`. */
export interface VoiceState {
  /** Of each frame of the voice but the first: (dim) what the network is given in the place of its tokens' embeddings. */
  embeddings: readonly Float32Array[];
  /** (1 + nQ, 4) the tokens that are kept after them, row-major. */
  cache: Int32Array;
}

export interface Prompt {
  /** (8) codes of each frame of a voice sample; or a voice that was computed before. */
  voice: readonly ArrayLike<number>[] | VoiceState;
  /** Tokens of the role, `<system> ... <system>`; may be none. */
  text: readonly number[];
}

export interface PersonaPlexOptions {
  /**
   * Depth steps to run: 8, or 16 to predict the user's codes as well, which changes nothing that the agent says. Default 8.
   * In the original the 16th step does not see the first one, as its cache is full then; here it does.
   */
  depthSteps?: number;
  silence?: readonly number[];
  sine?: readonly number[];
}

export interface PersonaPlexStep {
  /** (1 + nQ) tokens: text, the agent's 8 codes, the user's 8 as they were given. Null until there is a frame. */
  frame: Int32Array | null;
  /** Null in the session's first step, which runs no network. */
  sampled: FrameOutput | null;
}

/** What stands in a frame from outside; the model makes the rest. */
interface Provided {
  text?: number;
  agent?: ArrayLike<number>;
  user: ArrayLike<number>;
}

/**
 * A role as the model was trained to read it.
 *
 * @returns the text between `<system>` tags, or the empty string for no role.
 */
export function rolePrompt(role: string): string {
  const text = role.trim();
  if (text === "" || (text.startsWith("<system>") && text.endsWith("<system>"))) return text;
  return `<system> ${text} <system>`;
}

/** The tokens that a session keeps, empty: three steps beside those of the longest delay. */
export function personaPlexCache(layout: StreamLayout): TokenCache {
  return new TokenCache(layout, 3);
}

/** Window of a PersonaPlex model: its cache hides the oldest key once it is full. */
export function personaPlexWindow(context: number): number {
  return context - 1;
}

/**
 * A session of PersonaPlex: prompted with a voice and a role, then frame by frame as Moshi, with one frame (80 ms) more of
 * latency, as in NVIDIA's implementation. The language model must have been made with `personaPlexWindow`.
 */
export class PersonaPlex {
  readonly #model: LanguageModel;
  readonly #layout: StreamLayout;
  readonly #depthSteps: number;
  readonly #silence: readonly number[];
  readonly #sine: readonly number[];
  readonly #cache: TokenCache;
  /** (rows * capacity) 1 where a token came from outside. */
  readonly #provided: Uint8Array;
  #step = 0;

  constructor(model: LanguageModel, layout: StreamLayout, options: PersonaPlexOptions = {}) {
    this.#model = model;
    this.#layout = layout;
    this.#depthSteps = options.depthSteps ?? VOICE_CODEBOOKS;
    this.#silence = options.silence ?? SILENCE_CODES;
    this.#sine = options.sine ?? SINE_CODES;
    this.#cache = personaPlexCache(layout);
    this.#provided = new Uint8Array(this.#cache.rows * this.#cache.capacity);
    if (layout.nQ !== 2 * VOICE_CODEBOOKS || this.#depthSteps < VOICE_CODEBOOKS) {
      throw new RuntimeError("invalid-argument", {
        part: "personaplex",
        problem: `${layout.nQ} codebooks and ${this.#depthSteps} depth steps, expected 16 and at least 8`,
      });
    }
  }

  /**
   * Puts the voice and the role before the conversation: voice, silence, role, silence. Gives what each step gave; a session
   * waits for the end before it listens. Everything in a prompt is known beforehand, so no depth step runs unless
   * the logits are asked for.
   *
   * @throws RuntimeError "invalid-argument" after the session's first step, "shape-mismatch" for a voice of another model.
   */
  async *prompt({ voice, text }: Prompt, { inspect = false } = {}): AsyncGenerator<PersonaPlexStep> {
    if (this.#step !== 0) {
      throw new RuntimeError("invalid-argument", {
        part: "personaplex",
        problem: "a prompt must come before everything else",
      });
    }
    const prompted = (provided: Omit<Provided, "user">): Promise<PersonaPlexStep> =>
      this.#run({ text: TEXT_PAD, ...provided, user: this.#sine }, inspect ? this.#depthSteps : 0, inspect);
    if ("embeddings" in voice) yield* this.#replay(voice);
    else for (const agent of voice) yield await prompted({ agent });
    for (let i = 0; i < PAUSE_FRAMES; i++) yield await prompted({ agent: this.#silence });
    for (const token of text) yield await prompted({ agent: this.#silence, text: token });
    for (let i = 0; i < PAUSE_FRAMES; i++) yield await prompted({ agent: this.#silence });
  }

  /**
   * One step of the conversation. One call at a time.
   *
   * @param user (8) codes of the newest frame that was heard.
   */
  async step(user: ArrayLike<number>, { inspect = false } = {}): Promise<PersonaPlexStep> {
    return this.#run({ user }, this.#depthSteps, inspect);
  }

  /** The next step is a first one, without a voice or a role. */
  async reset(): Promise<void> {
    await this.#model.reset();
    this.#cache.reset();
    this.#provided.fill(0);
    this.#step = 0;
  }

  async *#replay({ embeddings, cache }: VoiceState): AsyncGenerator<PersonaPlexStep> {
    const { rows, capacity } = this.#cache;
    expectLength("personaplex", "the voice's cache", cache.length, rows * capacity);
    const tokens = Int32Array.from({ length: rows }, (_, row) => this.#cache.initial(row));
    for (const embedding of embeddings) {
      yield { frame: null, sampled: await this.#model.frame({ tokens, embedding, depthSteps: 0 }) };
    }
    // The first frame of a voice runs no network.
    this.#step = embeddings.length + 1;
    for (let row = 0; row < rows; row++) {
      for (let slot = 0; slot < capacity; slot++) this.#cache.set(row, slot, cache[row * capacity + slot]!);
      // The voice's last frame has given the delayed streams their next tokens.
      for (let ahead = 0; ahead < this.#layout.delays[row]!; ahead++)
        this.#mark(row, this.#step + ahead, true);
    }
  }

  async #run(given: Provided, depthSteps: number, inspect: boolean): Promise<PersonaPlexStep> {
    const { delays, card, depQ } = this.#layout;
    const cache = this.#cache;
    const t = this.#step;
    expectCodes("personaplex", given.user, VOICE_CODEBOOKS, card);
    if (given.agent) expectCodes("personaplex", given.agent, VOICE_CODEBOOKS, card);
    for (let row = 0; row < cache.rows; row++) {
      const token = providedToken(given, row);
      if (token !== undefined) this.#provide(row, t + delays[row]!, token);
      if (t <= delays[row]!) this.#provide(row, t, cache.initial(row));
    }
    if (t === 0) {
      this.#step = 1;
      return { frame: null, sampled: null };
    }
    const tokenIfProvided = (row: number): number | null =>
      this.#isProvided(row, t) ? cache.at(row, t) : null;
    const text = tokenIfProvided(0);
    const input: FrameInput = {
      tokens: cache.column((row) => cache.at(row, t - 1)),
      audio: Array.from({ length: depQ }, (_, q) => tokenIfProvided(1 + q)),
      depthSteps,
      inspect,
    };
    if (text !== null) input.text = text;
    const completes = depthSteps > 0 ? cache.awaited(VOICE_CODEBOOKS, t) : null;
    if (completes) input.completes = completes.map((code, q) => code ?? tokenIfProvided(1 + q));
    const sampled = await this.#model.frame(input);
    if (text === null) cache.set(0, t, sampled.text);
    for (const [q, token] of sampled.audio.entries()) {
      if (!this.#isProvided(1 + q, t)) cache.set(1 + q, t, token);
    }
    for (let row = 0; row < cache.rows; row++) this.#mark(row, t - 1, false);
    this.#step = t + 1;
    return { frame: t <= cache.maxDelay ? null : cache.aligned(cache.rows, t), sampled };
  }

  #provide(row: number, step: number, token: number): void {
    this.#cache.set(row, step, token);
    this.#mark(row, step, true);
  }

  #mark(row: number, step: number, provided: boolean): void {
    const { capacity } = this.#cache;
    this.#provided[row * capacity + (step % capacity)] = provided ? 1 : 0;
  }

  #isProvided(row: number, step: number): boolean {
    const { capacity } = this.#cache;
    return this.#provided[row * capacity + (step % capacity)] === 1;
  }
}

/** The token from outside for a row of the token matrix, if there is one. */
function providedToken({ text, agent, user }: Provided, row: number): number | undefined {
  if (row === 0) return text;
  return row <= VOICE_CODEBOOKS ? agent?.[row - 1] : user[row - 1 - VOICE_CODEBOOKS];
}
