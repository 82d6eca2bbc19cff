import type { BufferView } from "../../src/gpu/buffers.ts";
import type { Comparison, KernelCheck, Snapshot } from "../../src/gpu/kernel-check.ts";
import { matrixElements, matrixViews, productLimit } from "../matrix-check.ts";
import { unpackTurn } from "../step.ts";
import { chooseToken, gumbel, logitsReference, sampleReference } from "./logits-sample.reference.ts";
import type { LogitsSampleSpec } from "./logits-sample.ts";

/** How much worse than the best a sampled token may score: the noise is computed in single precision. */
const SCORE_SLACK = 1e-3;

/** How a choice of a token prepared from `spec` is compared with its reference; the logits must lie in `spec.logits`. */
export function logitsSampleCheck(spec: LogitsSampleSpec & { logits: BufferView }): KernelCheck {
  const { label, embedding, x, bias, turn, block, decodeRow, decodeStep, logits } = spec;
  const { rows: vocabSize, cols } = embedding;
  return {
    label,
    constants: { ...matrixViews(label, embedding), bias },
    before: { x, turn, block, decodeRow, decodeStep },
    after: { logits, block, decodeRow, decodeStep },
    prepare(constants) {
      const w = matrixElements(embedding, constants);
      const shift = constants.f32("bias").subarray(0, vocabSize);
      return (rows, before, after) => {
        const last = before.f32("x").subarray((rows - 1) * cols, rows * cols);
        const expected = logitsReference(w, shift, last);
        const absolute = productLimit(last, w, cols);
        const limit = (i: number): number => absolute + Math.abs(expected[i]!) * 2 ** -20;
        const actual = after.f32("logits");
        return [
          { name: "logits", actual, expected, limit },
          ...sampleComparisons(spec, actual.subarray(0, vocabSize), before, after),
        ];
      };
    },
  };
}

/** The choice among the logits as the device has them, and what follows from it. */
function sampleComparisons(
  { opensBlock }: LogitsSampleSpec,
  logits: Float32Array,
  before: Snapshot,
  after: Snapshot,
): Comparison[] {
  const turn = unpackTurn(before.u32("turn"));
  const held = before.u32("block");
  const given = [...held.subarray(1, 1 + held[0]!)];
  const written = after.u32("block");
  const token = written[1 + given.length]!;
  const position = turn.saidPosition + given.length;
  const score = (of: number): number =>
    turn.temperature === 0 ? logits[of]! : logits[of]! / turn.temperature + gumbel(turn.seed, position, of);
  const best = chooseToken(logits, turn, position);
  const isAsGood = best >= 0 && turn.temperature > 0 && score(token) >= score(best) - SCORE_SLACK;
  // What follows is that of the token that was taken, if it is as good as the best.
  const forced = isAsGood ? logits.map((_, i) => (i === token ? 1 : 0)) : logits;
  const state = sampleReference(forced, isAsGood ? { ...turn, temperature: 0 } : turn, opensBlock, {
    block: given,
    decodeRow: [...before.u32("decodeRow")],
    decodeRows: before.u32("decodeStep")[0]!,
  });
  const exactly = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>): Comparison => ({
    name,
    actual,
    expected,
    limit: () => 0,
  });
  return [
    exactly("block", written, [state.block.length, ...state.block]),
    exactly("decodeRow", after.u32("decodeRow"), state.decodeRow),
    exactly("decodeStep", after.u32("decodeStep"), [state.decodeRows]),
  ];
}
