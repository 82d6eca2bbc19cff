import { RuntimeError } from "../../src/core/errors.ts";

/** What a file that is not what it claims to be throws: which file, and what is wrong with it. */
export function invalidCheckpoint(source: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-checkpoint", {
    part: "checkpoint",
    problem: `${source}: ${problem}`,
    remedy: "Fetch or train the checkpoint again",
    cause,
  });
}

/** What a file that cannot be opened throws. */
export function missingCheckpoint(source: string, cause?: unknown): RuntimeError {
  return new RuntimeError("missing-file", {
    part: "checkpoint",
    problem: `${source} cannot be read`,
    remedy: "Name a folder with config.json and its weights",
    cause,
  });
}
