import { percentile } from "../../observe/percentile.ts";

/** A number that was spoken, and the session time at which its first sample sounded, seconds. */
export interface SpokenNumber {
  timeS: number;
  value: number;
}

/** What a person sees in one clip. */
export interface CountingTruth {
  /** The least and the largest count that is right. */
  accept: readonly [number, number];
  /** When each repetition was complete, ascending, seconds. */
  completionsS: readonly number[];
  durationS: number;
  /** True if nobody exercises in it. */
  negative: boolean;
}

/** How long before and after a completion its number may come and still be matched to it, seconds. */
export const MATCH_WINDOW_S = { before: 0.45, after: 1.6 } as const;

export interface CountingScore {
  /** The last number spoken; 0 if none was. */
  said: number;
  /** The accepted count nearest to `said`. */
  truth: number;
  exact: boolean;
  /** Online: the last number came after the true penultimate completion and is at most 1 off. */
  within1: boolean;
  /** |said - truth| / truth; null for a clip without exercise. */
  relativeError: number | null;
  /** Completion to spoken number of each match, seconds. */
  delaysS: number[];
  /** Numbers that belong to no completion. */
  unmatchedSpoken: number;
  /** Completions that no number belongs to. */
  unmatchedCompletions: number;
}

/** The whole numbers in a spoken text, in order: digits only, as the shipped vocabulary writes them. */
export function numbersIn(text: string): number[] {
  return [...text.matchAll(/(?<![\d.])\d+(?!\d|\.\d)/g)].map((match) => Number(match[0]));
}

interface Alignment {
  matches: number;
  costS: number;
  delaysS: readonly number[];
}

/**
 * Matches numbers to completions one to one and in order, within MATCH_WINDOW_S: as many as possible, and among those
 * with the smallest sum of delays.
 *
 * @returns the delay of each match, seconds; negative if the number came before the completion.
 */
export function matchInOrder(spokenS: readonly number[], completionsS: readonly number[]): number[] {
  const none: Alignment = { matches: 0, costS: 0, delaysS: [] };
  // row[j] is the best alignment of the first i spoken numbers with the first j completions.
  let row: Alignment[] = Array.from({ length: completionsS.length + 1 }, () => none);
  for (const spoken of spokenS) {
    const next: Alignment[] = [none];
    for (let j = 1; j <= completionsS.length; j++) {
      const skip = better(row[j]!, next[j - 1]!);
      const delay = spoken - completionsS[j - 1]!;
      const fits = delay >= -MATCH_WINDOW_S.before && delay <= MATCH_WINDOW_S.after;
      next[j] = fits ? better(skip, extend(row[j - 1]!, delay)) : skip;
    }
    row = next;
  }
  return [...row[completionsS.length]!.delaysS];
}

function better(a: Alignment, b: Alignment): Alignment {
  if (a.matches !== b.matches) return a.matches > b.matches ? a : b;
  return a.costS <= b.costS ? a : b;
}

function extend(alignment: Alignment, delayS: number): Alignment {
  return {
    matches: alignment.matches + 1,
    costS: alignment.costS + Math.abs(delayS),
    delaysS: [...alignment.delaysS, delayS],
  };
}

/** @param spoken in order of time. */
export function scoreCounting(spoken: readonly SpokenNumber[], truth: CountingTruth): CountingScore {
  const last = spoken.at(-1);
  const said = last?.value ?? 0;
  const [least, most] = truth.accept;
  const nearest = Math.min(most, Math.max(least, said));
  const penultimateS = truth.completionsS.at(-2) ?? 0;
  const delaysS = matchInOrder(
    spoken.map((number) => number.timeS),
    truth.completionsS,
  );
  return {
    said,
    truth: nearest,
    exact: said === nearest,
    within1: last !== undefined && last.timeS >= penultimateS && Math.abs(said - nearest) <= 1,
    relativeError: truth.negative || nearest === 0 ? null : Math.abs(said - nearest) / nearest,
    delaysS,
    unmatchedSpoken: spoken.length - delaysS.length,
    unmatchedCompletions: truth.completionsS.length - delaysS.length,
  };
}

export interface CountingSummary {
  exerciseClips: number;
  /** Mean of |said - truth| / truth over the exercise clips. */
  mae: number | null;
  /** Share of exercise clips whose last number is within 1, online. */
  within1: number | null;
  exact: number | null;
  completions: number;
  matched: number;
  /** Numbers spoken in exercise clips that belong to no completion. */
  unmatchedSpoken: number;
  /** Completion to spoken number, over all matches, seconds. */
  delayS: { median: number; p90: number } | null;
  negativeClips: number;
  negativeMinutes: number;
  falseCounts: number;
  falseCountsPerMinute: number | null;
}

/** One line over all clips: exercise clips give the counts, the others the false ones. */
export function summarizeCounting(
  clips: readonly { truth: CountingTruth; score: CountingScore }[],
): CountingSummary {
  const exercise = clips.filter((clip) => !clip.truth.negative);
  const negative = clips.filter((clip) => clip.truth.negative);
  const errors = exercise.flatMap(({ score }) => (score.relativeError === null ? [] : [score.relativeError]));
  const delays = exercise.flatMap(({ score }) => score.delaysS).sort((a, b) => a - b);
  const negativeMinutes = sum(negative.map(({ truth }) => truth.durationS)) / 60;
  const falseCounts = sum(negative.map(({ score }) => score.unmatchedSpoken));
  return {
    exerciseClips: exercise.length,
    mae: mean(errors),
    within1: mean(exercise.map(({ score }) => Number(score.within1))),
    exact: mean(exercise.map(({ score }) => Number(score.exact))),
    completions: sum(exercise.map(({ truth }) => truth.completionsS.length)),
    matched: delays.length,
    unmatchedSpoken: sum(exercise.map(({ score }) => score.unmatchedSpoken)),
    delayS: delays.length > 0 ? { median: percentile(delays, 0.5), p90: percentile(delays, 0.9) } : null,
    negativeClips: negative.length,
    negativeMinutes,
    falseCounts,
    falseCountsPerMinute: negativeMinutes > 0 ? falseCounts / negativeMinutes : null,
  };
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Null for no values. */
export function mean(values: readonly number[]): number | null {
  return values.length > 0 ? sum(values) / values.length : null;
}
