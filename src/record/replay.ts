import { isDeepStrictEqual } from "node:util";
import type { MicroTurnOutput } from "../core/micro-turn.ts";
import type { InteractionModel, Saving } from "../core/model.ts";
import { type RecordedOutput, type RecordedStep, recordedPart } from "./format.ts";
import type { RecordedEntry } from "./reader.ts";

/** The first step in which a replay chose otherwise than the session that was recorded. */
export interface Difference {
  recorded: RecordedStep;
  replayed: MicroTurnOutput;
}

export interface ReplayResult {
  /** Steps that were replayed and came out the same. */
  steps: number;
  /** Micro-turns that those steps took in. */
  microTurns: number;
  difference: Difference | null;
}

/**
 * Gives a model what it was given in a recorded session: the same intervals in each step, however late it was, and the
 * same savings. Time is what the recording says, so that it runs as fast as the model can. Ends at the first difference.
 *
 * @param model  Reset here; closed by the caller.
 * @param onEntry Told of each entry when it has been reproduced; events stand between the steps as they did then.
 */
export async function replay(
  model: InteractionModel,
  entries: AsyncIterable<RecordedEntry>,
  onEntry: (entry: RecordedEntry) => void = () => {},
): Promise<ReplayResult> {
  const result: ReplayResult = { steps: 0, microTurns: 0, difference: null };
  let savings: readonly Saving[] = [];
  await model.reset();
  model.save?.(savings);
  for await (const entry of entries) {
    if (entry.kind === "step") {
      const { step } = entry;
      if (step.savings.join() !== savings.join()) model.save?.(step.savings);
      savings = step.savings;
      const replayed = await model.step(step.inputs);
      if (!isSame(step.output, replayed)) return { ...result, difference: { recorded: step, replayed } };
      result.steps++;
      result.microTurns += step.inputs.length;
    }
    onEntry(entry);
  }
  return result;
}

function isSame(recorded: RecordedOutput, replayed: MicroTurnOutput): boolean {
  return isDeepStrictEqual(asWritten(recorded), asWritten(replayed));
}

/** What a model put out as a recording would give it back. */
function asWritten({ index, tokens, parts, unfinished = false }: RecordedOutput | MicroTurnOutput): unknown {
  return JSON.parse(JSON.stringify({ index, tokens, parts: parts.map(recordedPart), unfinished }));
}
