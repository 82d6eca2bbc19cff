import type { ParityBackend } from "./backend.ts";
import { checkCodec } from "./codec-check.ts";
import { checkLanguageModel } from "./language-model-check.ts";
import type { ParitySet } from "./parity-set.ts";
import type { CheckReport } from "./report.ts";

/** What became of a set. */
export interface SetReport {
  set: string;
  checks: CheckReport[];
}

/**
 * Compares a backend with the original implementation on one set, by every check that the set's files allow.
 *
 * @throws RuntimeError "invalid-checkpoint" for files that are not what they should be, and whatever the backend throws.
 */
export async function runParity(set: ParitySet, backend: ParityBackend): Promise<SetReport> {
  const check = set.kind === "codec" ? checkCodec : checkLanguageModel;
  return { set: set.name, checks: await check(set, backend) };
}

/** False if anything that was judged lies past its tolerance. */
export function isWithin(report: SetReport): boolean {
  return report.checks.every(({ outputs }) => outputs.every(({ ok }) => ok));
}
