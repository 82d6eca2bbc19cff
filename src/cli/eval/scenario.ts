import type { Scene } from "../scene.ts";
import { mean, numbersIn, sum } from "./counting.ts";
import type { SpokenText } from "./sessions.ts";

/** Timed speech is right if it begins this close to its due time, seconds. */
const DUE_WINDOW_S = 0.4;

export interface ScenarioScore {
  /** The last count spoken against the last one due, or the nearest where the last are optional; null if none is due. */
  reps: { said: number; truth: number; exact: boolean; within1: boolean } | null;
  due: number;
  dueRight: number;
  answers: number;
  answersRight: number;
}

/** Lower case, single spaces, no punctuation at the ends of words: how two texts are compared. */
export function plainWords(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[.,!?;:]+(?=\s|$)/g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** True if `text` holds `wanted` as whole words: "3" is not in "13". */
export function containsWords(text: string, wanted: string): boolean {
  return ` ${plainWords(text)} `.includes(` ${plainWords(wanted)} `);
}

/**
 * Scores what was said in one scene. A phrase answers one question and is timed speech once; what answers a question is
 * no count, but a count may come in one phrase with timed speech.
 *
 * @param spoken in order of time.
 */
export function scoreScenario(truth: Scene["truth"], spoken: readonly SpokenText[]): ScenarioScore {
  const answers = new Set<SpokenText>();
  for (const { askedS, byS, text } of truth.answers) {
    const answer = spoken.find(
      (phrase) =>
        !answers.has(phrase) &&
        phrase.timeS >= askedS &&
        phrase.timeS <= byS &&
        containsWords(phrase.text, text),
    );
    if (answer !== undefined) answers.add(answer);
  }
  const onTime = new Set<SpokenText>();
  for (const { timeS, text } of truth.due) {
    const phrase = spoken.find(
      (candidate) =>
        !onTime.has(candidate) &&
        Math.abs(candidate.timeS - timeS) <= DUE_WINDOW_S &&
        containsWords(candidate.text, text),
    );
    if (phrase !== undefined) onTime.add(phrase);
  }
  const others = spoken.filter((phrase) => !answers.has(phrase));
  return {
    reps: truth.reps.some(({ optional }) => !optional) ? scoreReps(truth.reps, others) : null,
    due: truth.due.length,
    dueRight: onTime.size,
    answers: truth.answers.length,
    answersRight: answers.size,
  };
}

function scoreReps(reps: Scene["truth"]["reps"], spoken: readonly SpokenText[]): ScenarioScore["reps"] {
  const required = reps.filter(({ optional }) => !optional);
  const least = required.at(-1)!.count;
  const most = reps.at(-1)!.count;
  const counts = spoken.flatMap(({ timeS, text }) => numbersIn(text).map((value) => ({ timeS, value })));
  const last = counts.at(-1);
  const said = last?.value ?? 0;
  const truth = Math.min(most, Math.max(least, said));
  const online = last !== undefined && last.timeS >= (required.at(-2)?.timeS ?? 0);
  return { said, truth, exact: said === truth, within1: online && Math.abs(said - truth) <= 1 };
}

export interface ScenarioSummary {
  scenes: number;
  countingScenes: number;
  within1: number | null;
  exact: number | null;
  due: number;
  dueRight: number | null;
  answers: number;
  answersRight: number | null;
}

export function summarizeScenarios(scores: readonly ScenarioScore[]): ScenarioSummary {
  const reps = scores.flatMap((score) => (score.reps === null ? [] : [score.reps]));
  const due = sum(scores.map((score) => score.due));
  const answers = sum(scores.map((score) => score.answers));
  return {
    scenes: scores.length,
    countingScenes: reps.length,
    within1: mean(reps.map(({ within1 }) => Number(within1))),
    exact: mean(reps.map(({ exact }) => Number(exact))),
    due,
    dueRight: due > 0 ? sum(scores.map((score) => score.dueRight)) / due : null,
    answers,
    answersRight: answers > 0 ? sum(scores.map((score) => score.answersRight)) / answers : null,
  };
}
