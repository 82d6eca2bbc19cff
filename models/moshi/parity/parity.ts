import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseMoshiConfig } from "../config.ts";
import type { ParityBackend } from "./backend.ts";
import { checkCodec } from "./codec-check.ts";
import { checkLanguageModel } from "./language-model-check.ts";
import type { ParitySet } from "./parity-set.ts";
import type { CheckReport } from "./report.ts";

/** What became of a set: its checks, or why it was not tried. */
export type SetReport = { set: string; checks: CheckReport[] } | { set: string; skipped: string };

/**
 * Compares a backend with the original implementation on one set, by every check that the set's files allow.
 *
 * @throws RuntimeError "invalid-checkpoint" for files that are not what they should be, and whatever the backend throws.
 */
export async function runParity(set: ParitySet, backend: ParityBackend): Promise<SetReport> {
  if (set.kind === "codec") return { set: set.name, checks: await checkCodec(set, backend) };
  const path = join(set.path, "config.json");
  if (parseMoshiConfig(await readFile(path, "utf8"), path).names === "moshivis") {
    return { set: set.name, skipped: "MoshiVis, which is not supported" };
  }
  return { set: set.name, checks: await checkLanguageModel(set, backend) };
}

/** False if anything that was judged lies past its tolerance. */
export function isWithin(report: SetReport): boolean {
  return "skipped" in report || report.checks.every(({ outputs }) => outputs.every(({ ok }) => ok));
}
