import { resolve } from "node:path";
import type { ParityWeights } from "../../models/moshi/parity/backend.ts";
import { isWithin, runParity, type SetReport } from "../../models/moshi/parity/parity.ts";
import { findParitySets, type ParitySet } from "../../models/moshi/parity/parity-set.ts";
import type { OutputReport } from "../../models/moshi/parity/report.ts";
import { EXIT } from "../core/errors.ts";
import { choiceOption, type Invocation, type Io, requiredArgument } from "./command.ts";

const WEIGHTS: readonly ParityWeights[] = ["f32", "f16", "q8", "q4"];

/** `microturn parity DIR`: exit status 1 if an output lies past its tolerance or a token is another. */
export async function parity(invocation: Invocation): Promise<number> {
  const { values, io } = invocation;
  const sets = await findParitySets(resolve(requiredArgument(invocation, "parity", "DIR")));
  choiceOption(values, "backend", ["gpu"]);
  const weights = choiceOption(values, "weights", WEIGHTS) ?? "f32";
  const isRight = await compareSets(sets, { weights, asJson: values.json === true, io });
  if (io.signal.aborted) {
    io.err("microturn: parity: interrupted, not every set was tried\n");
    return EXIT.failure;
  }
  if (!isRight) io.err("microturn: parity: not within the tolerances\n");
  return isRight ? EXIT.ok : EXIT.failure;
}

/** Runs sets on the GPU and says what came of each, until Ctrl-C. @returns whether all was within the tolerances. */
export async function compareSets(
  sets: readonly ParitySet[],
  { weights, asJson, io }: { weights: ParityWeights; asJson: boolean; io: Io },
): Promise<boolean> {
  const { openGpuParity } = await import("../../models/moshi/parity/gpu-backend.ts");
  const backend = await openGpuParity(weights);
  let isRight = true;
  try {
    if (!asJson) io.out(`on ${backend.adapter}, weights ${weights}\n`);
    for (const set of sets) {
      if (io.signal.aborted) break;
      const report = await runParity(set, backend);
      isRight &&= isWithin(report);
      io.out(asJson ? jsonLines(report, backend.adapter, weights) : table(report));
    }
  } finally {
    backend.close();
  }
  return isRight;
}

function jsonLines(report: SetReport, adapter: string, weights: ParityWeights): string {
  const head = { set: report.set, adapter, weights };
  return report.checks
    .flatMap(({ check, outputs }) =>
      outputs.map((output) => `${JSON.stringify({ ...head, check, ...output })}\n`),
    )
    .join("");
}

function table(report: SetReport): string {
  const rows = report.checks.flatMap(({ check, outputs }) =>
    outputs.map((output) => `  ${check.padEnd(16)} ${output.output.padEnd(18)} ${described(output)}\n`),
  );
  return `\n${report.set}\n${rows.join("")}`;
}

/** "2.1e-5 of 1.0e-4" or "432 tokens identical", and what is wrong. */
function described(output: OutputReport): string {
  const verdict = output.ok ? "" : "   PAST TOLERANCE";
  if (output.kind === "numbers") {
    const { largest, rms, tolerance, at } = output;
    const difference = `largest difference ${largest.toExponential(1)}`;
    if (tolerance === null) return `${difference} at ${at}, RMS ${rms.toExponential(1)}, not judged`;
    const where = output.ok ? "" : ` at ${at}`;
    return `${difference} of ${tolerance.toExponential(1)}${where}${verdict}`;
  }
  const { compared, same } = output;
  const ties = output.nearTies > 0 ? `, ${output.nearTies} near-ties fell otherwise` : "";
  const first = output.firstDifference;
  if (!first) return `${compared} tokens identical${ties}${verdict}`;
  const judged = output.judged ? "" : ", not judged";
  const other = `first difference at ${first.at}: ${first.actual}, expected ${first.expected}`;
  return `${same} of ${compared} tokens identical, ${other}${judged}${ties}${verdict}`;
}
