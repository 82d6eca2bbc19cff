import type { Turn } from "../step.ts";

/**
 * Logits of one hidden state.
 *
 * @param weights (vocabSize, dim) row-major.
 * @param bias    (vocabSize).
 * @param x       (dim).
 * @returns (vocabSize).
 */
export function logitsReference(
  weights: ArrayLike<number>,
  bias: ArrayLike<number>,
  x: ArrayLike<number>,
): Float64Array {
  const logits = Float64Array.from(bias);
  for (let v = 0; v < logits.length; v++) {
    for (let k = 0; k < x.length; k++) logits[v]! += weights[v * x.length + k]! * x[k]!;
  }
  return logits;
}

/**
 * The token that a row of logits and a counter give: the largest logit, or at a temperature the largest
 * logit / temperature + Gumbel noise among the tokens whose logit is at least the top-k-th largest. A tie goes to the
 * lower token. The CPU backend chooses by it too.
 *
 * @param position Of the choice: the noise depends on the seed, this and the token alone.
 * @returns The token; -1 if no logit is a number.
 */
export function chooseToken(
  logits: ArrayLike<number>,
  sampling: { temperature: number; topK: number; seed: number },
  position: number,
): number {
  const { temperature, topK, seed } = sampling;
  let least = Number.NEGATIVE_INFINITY;
  if (temperature !== 0 && topK !== 0 && topK < logits.length) {
    least = Float64Array.from(logits).sort()[logits.length - topK]!;
  }
  let best = -1;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (logit < least) continue;
    const score = temperature === 0 ? logit : logit / temperature + gumbel(seed, position, token);
    if (score > bestScore) {
      bestScore = score;
      best = token;
    }
  }
  return best;
}

/** Standard Gumbel noise of a counter: -ln(-ln u), u in (0, 1) with 23 bits. */
export function gumbel(seed: number, position: number, token: number): number {
  const u = ((pcg3d(seed, position, token) >>> 9) + 0.5) / 2 ** 23;
  return -Math.log(-Math.log(u));
}

/** First word of pcg3d: Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020. All u32. */
export function pcg3d(a: number, b: number, c: number): number {
  let x = Math.imul(a, 1664525) + 1013904223;
  let y = Math.imul(b, 1664525) + 1013904223;
  let z = Math.imul(c, 1664525) + 1013904223;
  x += Math.imul(y, z);
  y += Math.imul(z, x);
  z += Math.imul(x, y);
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  return (x + Math.imul(y, z)) >>> 0;
}

/** What the sampler changes. */
export interface SamplerState {
  /** Tokens of the output block so far. */
  block: number[];
  /** Position, cache slot, kind, index of the decode step's row. */
  decodeRow: number[];
  decodeRows: number;
}

/** One run of the sampler, as kernels/step.ts has it. */
export function sampleReference(
  logits: ArrayLike<number>,
  turn: Turn,
  opensBlock: boolean,
  state: SamplerState,
): SamplerState {
  if (!opensBlock && state.decodeRows === 0) return state;
  const index = state.block.length;
  const choice = chooseToken(logits, turn, turn.saidPosition + index);
  const token = choice < 0 ? turn.nextToken : choice;
  const block = [...state.block, token];
  if (token === turn.nextToken || block.length >= turn.maxTokens) {
    return { block, decodeRow: state.decodeRow, decodeRows: 0 };
  }
  const slot = turn.saidStart + ((turn.saidCount + index) % turn.saidCapacity);
  return { block, decodeRow: [turn.saidPosition + index, slot, 1, token], decodeRows: 1 };
}
