import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Profile } from "../../config/profile.ts";
import { EXIT, RuntimeError } from "../../core/errors.ts";
import { type Invocation, requiredArgument } from "../command.ts";
import { type Parts, shippedParts } from "../parts.ts";
import { modelOverrides, profileOf } from "../profile-options.ts";
import { modelLine } from "../run.ts";
import { loadScene, type Scene } from "../scene.ts";
import { type ScenarioScore, scoreScenario, summarizeScenarios } from "./scenario.ts";
import { EVAL_DEFAULTS, measureSession } from "./sessions.ts";
import { percent } from "./table.ts";

/** The profile that plays a scene. */
export function sceneProfile(scene: Scene, profile: Profile): Profile {
  const source = (path: string | null): string => (path === null ? "none" : `file:${path}`);
  return {
    ...profile,
    camera: source(scene.video),
    microphone: source(scene.microphone),
    text: scene.typed.map(({ timeS, text }) => ({ seconds: timeS, text })),
    duration: scene.durationS,
  };
}

async function sceneFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw new RuntimeError("missing-file", {
      part: "eval scenarios",
      problem: `${directory} cannot be read`,
      cause,
    });
  });
  const scenes = names.filter((name) => name.endsWith(".json")).sort();
  if (scenes.length === 0) {
    throw new RuntimeError("missing-file", {
      part: "eval scenarios",
      problem: `there is no scene (*.json) in ${directory}`,
      remedy: "Make some with models/native/training",
    });
  }
  return scenes;
}

function sceneRow(name: string, { reps, due, dueRight, answers, answersRight }: ScenarioScore): string {
  const count =
    reps === null
      ? ""
      : `said ${reps.said} of ${reps.truth}${reps.exact ? "" : reps.within1 ? " (within 1)" : " (off)"}`;
  const timed = due > 0 ? `on time ${dueRight}/${due}` : "";
  const answered = answers > 0 ? `answers ${answersRight}/${answers}` : "";
  return `${name.padEnd(30)} ${count.padEnd(24)} ${timed.padEnd(16)} ${answered}`.trimEnd();
}

/** `microturn eval scenarios DIR` */
export async function evalScenarios(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const { values, io } = invocation;
  const directory = requiredArgument(invocation, "eval scenarios", "DIR");
  const names = await sceneFiles(directory);
  const profile = profileOf({ ...modelOverrides(values), ...EVAL_DEFAULTS });
  const model = await parts.loadModel(profile);
  const json = values.json === true;
  const scores: ScenarioScore[] = [];
  try {
    if (!json) io.out(`${modelLine(model.description)}\n\n`);
    for (const name of names) {
      const scene = await loadScene(join(directory, name));
      const outcome = await measureSession(
        { profile: sceneProfile(scene, profile), model, parts },
        io.signal,
      );
      const score = scoreScenario(scene.truth, outcome.spoken);
      scores.push(score);
      if (json) io.out(`${JSON.stringify({ kind: "scene", name, ...score, spoken: outcome.spoken })}\n`);
      else io.out(`${sceneRow(name, score)}\n`);
    }
    const summary = summarizeScenarios(scores);
    if (json) {
      io.out(`${JSON.stringify({ kind: "summary", ...summary, ...model.description })}\n`);
    } else {
      io.out(
        `\ncounts        within 1 ${percent(summary.within1)}, exact ${percent(summary.exact)} of ${summary.countingScenes} scenes\n` +
          `timed speech  ${percent(summary.dueRight)} of ${summary.due} within ±0.4 s\n` +
          `answers       ${percent(summary.answersRight)} of ${summary.answers}\n`,
      );
    }
    return EXIT.ok;
  } finally {
    await model.close();
  }
}
