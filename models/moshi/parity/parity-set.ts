import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { RuntimeError } from "../../../src/core/errors.ts";

/** Folders below the given one that are looked at. */
const MAX_DEPTH = 6;
const MAX_FOLDERS = 1000;

const LANGUAGE_MODEL_CHECKS = [
  "conditions.safetensors",
  "teacher_forced.safetensors",
  "greedy.safetensors",
  "prompted_run.safetensors",
  "state_machine.json",
  "tts_run.json",
] as const;
/** A greedy run under guidance names its coefficient: greedy_cfg3.safetensors. */
const GUIDED = /^greedy_cfg(\d+(?:\.\d+)?)\.safetensors$/;

/** A folder with a small checkpoint and what the original implementation made of it. */
export interface ParitySet {
  /** Its path below the folder that was given; "." for that one itself. */
  name: string;
  path: string;
  kind: "language-model" | "codec";
  files: ReadonlySet<string>;
}

/** Coefficients of the runs under guidance that a set has. */
export function guidedRuns({ files }: ParitySet): { file: string; coefficient: number }[] {
  return [...files].flatMap((file) => {
    const match = GUIDED.exec(file);
    return match ? [{ file, coefficient: Number(match[1]) }] : [];
  });
}

/**
 * Every set in a folder and below it, in the order of their names.
 *
 * @throws RuntimeError "missing-file" if the folder cannot be read or holds no set, "invalid-checkpoint" for a set of which
 *   files are missing.
 */
export async function findParitySets(root: string): Promise<ParitySet[]> {
  const sets: ParitySet[] = [];
  const folders = [{ path: root, depth: 0 }];
  for (let next = folders.shift(), seen = 0; next; next = folders.shift(), seen++) {
    const { path, depth } = next;
    const entries = await readdir(path, { withFileTypes: true }).catch((cause) => {
      throw new RuntimeError("missing-file", { part: "parity", problem: `${path} cannot be read`, cause });
    });
    // A hub's cache holds links to files.
    const isFile = (entry: Dirent): boolean => entry.isFile() || entry.isSymbolicLink();
    const files = new Set(entries.filter(isFile).map(({ name }) => name));
    const name = relative(root, path) || ".";
    const kind = kindOf(files);
    if (kind) sets.push(checkComplete({ name, path, kind, files }));
    if (depth === MAX_DEPTH || seen === MAX_FOLDERS) continue;
    const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
    folders.push(...below.sort().map((folder) => ({ path: folder, depth: depth + 1 })));
  }
  if (sets.length === 0) {
    throw new RuntimeError("missing-file", {
      part: "parity",
      problem: `${root} holds no set`,
      remedy:
        "Name a folder with config.json, model.safetensors and teacher_forced.safetensors, or one above such folders",
    });
  }
  return sets.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function kindOf(files: ReadonlySet<string>): ParitySet["kind"] | null {
  if (files.has("io.safetensors") || files.has("mimi_config.json")) return "codec";
  const isOne = LANGUAGE_MODEL_CHECKS.some((file) => files.has(file)) || files.has("config.json");
  return isOne || [...files].some((file) => GUIDED.test(file)) ? "language-model" : null;
}

function checkComplete(set: ParitySet): ParitySet {
  const { files, kind, path } = set;
  const needed =
    kind === "codec" ? ["mimi_config.json", "io.safetensors"] : ["config.json", "model.safetensors"];
  const missing = needed.filter((file) => !files.has(file));
  if (kind === "codec" && !files.has("model.safetensors") && !files.has("tensors.json")) {
    missing.push("model.safetensors or tensors.json");
  }
  if (
    kind === "language-model" &&
    guidedRuns(set).length === 0 &&
    !LANGUAGE_MODEL_CHECKS.some((file) => files.has(file))
  ) {
    missing.push("outputs to compare with, such as teacher_forced.safetensors");
  }
  if (files.has("tts_run.json")) {
    missing.push(...["tts_run.safetensors", "voice.safetensors"].filter((file) => !files.has(file)));
  }
  if (missing.length > 0) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "parity",
      problem: `${path} lacks ${missing.join(" and ")}`,
      remedy: "Complete the set, or name another folder",
    });
  }
  return set;
}
