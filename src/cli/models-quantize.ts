import { resolve } from "node:path";
import { findParitySets } from "../../models/moshi/parity/parity-set.ts";
import { quantizeMoshi } from "../../models/moshi/quantize.ts";
import type { QuantizedTensor } from "../../models/tensors/quantize.ts";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { choiceOption, type Invocation, requiredArgument } from "./command.ts";

/**
 * `microturn models quantize SRC DST --weights q8|q4 [--parity]`
 *
 * With --parity SRC holds outputs of the original implementation too, and the copy's logits are compared with them.
 */
export async function modelsQuantize(invocation: Invocation): Promise<number> {
  const { values, io } = invocation;
  const from = resolve(requiredArgument(invocation, "models quantize", "SRC"));
  const to = invocation.positionals[1];
  const format = choiceOption(values, "weights", ["q8", "q4"]);
  if (to === undefined || format === undefined) {
    throw new RuntimeError("invalid-argument", {
      part: "models quantize",
      problem: to === undefined ? "DST is missing" : "--weights is missing",
      remedy: "See microturn models quantize --help",
    });
  }
  const json = values.json === true;
  // Said before the work is done, if there is nothing to compare with.
  if (values.parity === true) await findParitySets(from);
  const done = (tensor: QuantizedTensor): void => io.out(json ? `${JSON.stringify(tensor)}\n` : row(tensor));
  const tensors = await quantizeMoshi(from, resolve(to), { format, done });
  if (!json) io.out(summary(tensors, resolve(to)));
  if (values.parity === true) {
    const { compareSets } = await import("./parity.ts");
    const isRight = await compareSets(await findParitySets(resolve(to)), {
      weights: format,
      asJson: json,
      io,
    });
    // Not the logits, which nothing is asked of: what no weight has a part in.
    if (!isRight) return EXIT.failure;
  }
  return EXIT.ok;
}

function row({ name, shape, format, maxError, relativeError }: QuantizedTensor): string {
  const rounded = format === "q8" || format === "q4";
  const errors = rounded
    ? `largest error ${maxError.toExponential(2)}, relative ${(100 * relativeError).toFixed(2)} %`
    : "unchanged";
  return `${name.padEnd(56)} ${shape.join("x").padEnd(12)} ${format.padEnd(4)} ${errors}\n`;
}

function summary(tensors: readonly QuantizedTensor[], to: string): string {
  const rounded = tensors.filter(({ relativeError }) => relativeError > 0);
  const worst = rounded.reduce((most, { relativeError }) => Math.max(most, relativeError), 0);
  const sizeBytes = tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0);
  return (
    `${rounded.length} of ${tensors.length} tensors rounded, relative error up to ${(100 * worst).toFixed(2)} %; ` +
    `${(sizeBytes / 1e6).toFixed(1)} MB in ${to}\n`
  );
}
