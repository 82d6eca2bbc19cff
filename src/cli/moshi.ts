import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { z } from "zod";
import type { DialogueModel } from "../../models/moshi/dialogue-model.ts";
import type { Profile } from "../config/profile.ts";
import { RuntimeError } from "../core/errors.ts";
import { stderrLog } from "../core/log.ts";
import { checkRequested } from "../gpu/kernel-check.ts";
import { digestsOf, type ModelLock } from "./checkpoints.ts";

/** What the index of a checkpoint in several files says of them. */
const shardIndex = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * A checkpoint of the Moshi family, as a profile wants it run.
 * @throws RuntimeError "invalid-configuration" for a backend that this family does not have; else see loadMoshiModel.
 */
export async function loadMoshi(directory: string, profile: Profile): Promise<DialogueModel> {
  const { backend, weights, temperature = null, seed, persona } = profile;
  if (backend === "cpu") {
    throw new RuntimeError("invalid-configuration", {
      part: "backend",
      problem: "models of the Moshi family run on the GPU alone",
      remedy: "Leave it out, or say gpu",
    });
  }
  if (checkRequested) {
    const instead = "microturn parity DIR compares this family's kernels with the original's outputs";
    stderrLog.write("warning", "kernel check", `CHECK=1 is for the native model; ${instead}`);
  }
  // Only here: the packages take their time to load.
  const { loadMoshiModel } = await import("../../models/moshi/load.ts");
  const { voice = null, role } = persona;
  return loadMoshiModel({ directory, weights, temperature, seed, persona: { voice, role } });
}

/** Sizes and digests of the files that such a checkpoint is read from. */
export async function moshiDigests(directory: string): Promise<ModelLock[string]> {
  const { findMoshiFiles } = await import("../../models/moshi/files.ts");
  const { model, adapters, mimi, mimiConfig, tokenizer, configFile } = await findMoshiFiles(directory);
  const paths = [configFile, model, ...(await shardsOf(model)), adapters, mimi, mimiConfig, tokenizer];
  const names = paths.flatMap((path) => (path === null ? [] : [relative(directory, path)]));
  return digestsOf(directory, names);
}

async function shardsOf(model: string): Promise<string[]> {
  if (!basename(model).endsWith(".index.json")) return [];
  const { weight_map: files } = shardIndex.parse(JSON.parse(await readFile(model, "utf8")));
  return [...new Set(Object.values(files))].sort().map((file) => join(dirname(model), file));
}
