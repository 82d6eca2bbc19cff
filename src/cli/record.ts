import { RuntimeError } from "../core/errors.ts";
import { type Invocation, stringOption } from "./command.ts";
import { type Parts, shippedParts } from "./parts.ts";
import { run } from "./run.ts";

/** `microturn record` */
export async function record(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const out = stringOption(invocation.values, "out");
  if (out === undefined) {
    throw new RuntimeError("invalid-argument", {
      part: "record",
      problem: "it is not said where to",
      remedy: "Give --out FILE.mcap",
    });
  }
  return run({ ...invocation, values: { ...invocation.values, record: out } }, parts);
}
