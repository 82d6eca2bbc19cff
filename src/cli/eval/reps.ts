import { basename } from "node:path";
import { EXIT } from "../../core/errors.ts";
import { type Invocation, requiredArgument, stringOption } from "../command.ts";
import { type Parts, shippedParts } from "../parts.ts";
import { modelOverrides, profileOf } from "../profile-options.ts";
import { modelLine } from "../run.ts";
import {
  type CountingScore,
  type CountingSummary,
  type CountingTruth,
  numbersIn,
  type SpokenNumber,
  scoreCounting,
  summarizeCounting,
} from "./counting.ts";
import { readVideoManifest, type VideoClip } from "./manifest.ts";
import { EVAL_DEFAULTS, measureSession } from "./sessions.ts";
import { percent, twoDigits } from "./table.ts";

interface ClipResult {
  name: string;
  truth: CountingTruth;
  score: CountingScore;
  spoken: SpokenNumber[];
}

function truthOf(clip: VideoClip): CountingTruth {
  return {
    accept: clip.reps_accept ?? [clip.reps, clip.reps],
    completionsS: clip.rep_end_s ?? [],
    durationS: clip.duration_s,
    negative: clip.negative,
  };
}

function clipRow({ name, truth, score, spoken }: ClipResult): string {
  const [least, most] = truth.accept;
  const right = least === most ? `${least}` : `${least}-${most}`;
  const verdict = truth.negative
    ? spoken.length === 0
      ? "quiet"
      : "FALSE"
    : score.exact
      ? "exact"
      : score.within1
        ? "within 1"
        : "off";
  const numbers = spoken.map(({ timeS, value }) => `${value}@${timeS.toFixed(1)}`).join(" ");
  return `${name.padEnd(30)} ${right.padStart(5)} ${String(score.said).padStart(5)}  ${verdict.padEnd(9)} ${String(score.delaysS.length).padStart(3)}/${String(truth.completionsS.length).padEnd(3)} ${numbers}`;
}

function summaryText(summary: CountingSummary): string {
  const { exerciseClips, completions, matched, unmatchedSpoken, delayS } = summary;
  const delay =
    delayS === null ? "no match" : `median ${delayS.median.toFixed(2)} s, p90 ${delayS.p90.toFixed(2)} s`;
  return [
    `exercise clips   ${exerciseClips}`,
    `MAE              ${twoDigits(summary.mae)}  (mean of |said - true| / true)`,
    `within 1, online ${percent(summary.within1)}  (last number after the penultimate repetition)`,
    `exact            ${percent(summary.exact)}`,
    `matched          ${matched} of ${completions} completions; ${unmatchedSpoken} numbers belong to none (window -0.45 .. +1.6 s)`,
    `delay            ${delay}`,
    `false counts     ${twoDigits(summary.falseCountsPerMinute)} a minute (${summary.falseCounts} in ${summary.negativeMinutes.toFixed(2)} min of ${summary.negativeClips} clips without exercise)`,
  ].join("\n");
}

/** `microturn eval reps DIR` */
export async function evalReps(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const { values, io } = invocation;
  const clips = await readVideoManifest(requiredArgument(invocation, "eval reps", "DIR"));
  const text = [{ seconds: 0, text: stringOption(values, "text") ?? "count my reps" }];
  const profile = profileOf({ ...modelOverrides(values), ...EVAL_DEFAULTS, text });
  const model = await parts.loadModel(profile);
  const json = values.json === true;
  const results: ClipResult[] = [];
  try {
    if (!json) {
      io.out(`${modelLine(model.description)}\n\n`);
      io.out(`${"clip".padEnd(30)} right  said            matched  numbers@seconds\n`);
    }
    for (const clip of clips) {
      const setup = { profile: { ...profile, camera: `file:${clip.file}` }, model, parts };
      const outcome = await measureSession(setup, io.signal);
      const spoken = outcome.spoken.flatMap(({ timeS, text: words }) =>
        numbersIn(words).map((value) => ({ timeS, value })),
      );
      const truth = truthOf(clip);
      const result = { name: basename(clip.file), truth, score: scoreCounting(spoken, truth), spoken };
      results.push(result);
      if (json) io.out(`${JSON.stringify({ kind: "clip", ...result, stepMs: outcome.summary.stepMs })}\n`);
      else io.out(`${clipRow(result)}\n`);
    }
    const summary = summarizeCounting(results);
    if (json) io.out(`${JSON.stringify({ kind: "summary", ...summary, ...model.description })}\n`);
    else io.out(`\n${summaryText(summary)}\n`);
    return EXIT.ok;
  } finally {
    await model.close();
  }
}
