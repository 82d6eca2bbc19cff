import { chooseToken } from "../logits-sample/logits-sample.reference.ts";
import { NOT_FORCED } from "./sample-token.ts";

/** Guidance: null + (conditioned - null) · coefficient. */
export function guidedLogitsReference(
  conditioned: ArrayLike<number>,
  unconditioned: ArrayLike<number>,
  coefficient: number,
): Float64Array {
  return Float64Array.from(
    conditioned,
    (value, i) => unconditioned[i]! + (value - unconditioned[i]!) * coefficient,
  );
}

/**
 * One draw: the token, and what is handed on in its place.
 *
 * @param draw  Of the noise: position · slots + slot.
 * @param bonus Added to one token's logit.
 */
export function sampleTokenReference(
  logits: ArrayLike<number>,
  sampling: { temperature: number; topK: number; seed: number },
  draw: number,
  forced: number,
  bonus?: { token: number; logit: number },
): { sampled: number; handed: number } {
  const raised = Float64Array.from(logits, (logit, i) => logit + (i === bonus?.token ? bonus.logit : 0));
  const sampled = chooseToken(raised, sampling, draw);
  return { sampled, handed: forced === NOT_FORCED ? sampled : forced };
}
