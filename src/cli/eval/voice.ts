import { basename } from "node:path";
import { EXIT, RuntimeError } from "../../core/errors.ts";
import { type Invocation, requiredArgument, stringOption } from "../command.ts";
import { type Parts, shippedParts } from "../parts.ts";
import { modelOverrides, profileOf } from "../profile-options.ts";
import { modelLine } from "../run.ts";
import {
  type GivingWayScore,
  type GivingWaySummary,
  joinPauses,
  type SpokenSpan,
  scoreGivingWay,
  summarizeGivingWay,
} from "./giving-way.ts";
import { type AudioClip, readAudioManifest } from "./manifest.ts";
import { PaddedMicrophone } from "./padded-microphone.ts";
import { EVAL_DEFAULTS, measureSession, type Outcome } from "./sessions.ts";
import { percent, twoDigits } from "./table.ts";

/** When the clip begins: by then the model is well into its answer. */
const CLIP_START_S = 4;
/** How long a session listens on after the clip, so that late silence is seen as late. */
const LISTEN_ON_S = 3;
/** The undisturbed answer is listened to for this long at most. */
const LONGEST_ANSWER_S = 90;
const WINDOWS_S = [0.4, 1] as const;
const DEFAULT_TEXT = "tell me how to do a squat";

function spansOf({ played }: Outcome): SpokenSpan[] {
  return played.map(({ startMs, endMs }) => ({ startS: startMs / 1000, endS: endMs / 1000 }));
}

function onsetOf(clip: AudioClip): number | null {
  const first = clip.speech_segments_s?.[0]?.[0];
  return first === undefined ? null : CLIP_START_S + first;
}

function summaryText(summary: GivingWaySummary): string {
  return [
    `within ${summary.windowS.toFixed(1)} s: gave way to ${summary.yielded} of ${summary.speechClips} clips with speech (${percent(summary.yieldedShare)}),`,
    `broke off for ${summary.falseYields} of ${summary.otherClips} clips of noise and music (${percent(summary.falseShare)})`,
    summary.notSpeaking > 0 ? `; was not speaking in ${summary.notSpeaking}` : "",
  ].join(" ");
}

/** `microturn eval voice DIR` */
export async function evalVoice(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const { values, io } = invocation;
  const clips = await readAudioManifest(requiredArgument(invocation, "eval voice", "DIR"));
  const text = [{ seconds: 0, text: stringOption(values, "text") ?? DEFAULT_TEXT }];
  const profile = profileOf({ ...modelOverrides(values), ...EVAL_DEFAULTS, text });
  const model = await parts.loadModel(profile);
  try {
    const rateHz = model.perception.audioSampleRateHz;
    if (rateHz === null) {
      throw new RuntimeError("invalid-argument", { part: "eval voice", problem: "this model does not hear" });
    }
    const listen = (file: string | null, totalS: number): Promise<Outcome> => {
      const clip = file === null ? null : parts.microphone(`file:${file}`, rateHz);
      const timing = { startMs: CLIP_START_S * 1000, totalMs: totalS * 1000, sampleRateHz: rateHz };
      const microphone = new PaddedMicrophone({ clip, ...timing });
      return measureSession(
        { profile: { ...profile, duration: totalS }, model, parts, microphone },
        io.signal,
      );
    };

    const undisturbed = spansOf(await listen(null, LONGEST_ANSWER_S));
    const answer = joinPauses(undisturbed)[0];
    if (answer === undefined || answer.startS >= CLIP_START_S || answer.endS <= CLIP_START_S) {
      throw new RuntimeError("invalid-argument", {
        part: "eval voice",
        problem: `asked "${text[0]!.text}", the model does not speak at ${CLIP_START_S} s`,
        remedy: "Give --text something that it answers at length",
      });
    }
    const json = values.json === true;
    if (!json) {
      io.out(`${modelLine(model.description)}\n`);
      io.out(
        `undisturbed, the answer lasts from ${answer.startS.toFixed(1)} to ${answer.endS.toFixed(1)} s\n\n`,
      );
    }
    const results: { hasSpeech: boolean; scores: GivingWayScore[] }[] = [];
    for (const clip of clips) {
      const onsetS = onsetOf(clip);
      const clipEndS = CLIP_START_S + clip.duration_s;
      const outcome = await listen(clip.file, clipEndS + LISTEN_ON_S);
      const spans = spansOf(outcome);
      const trial = { spans, clipStartS: CLIP_START_S, clipEndS, onsetS, undisturbed };
      const scores = WINDOWS_S.map((windowS) => scoreGivingWay(trial, windowS));
      results.push({ hasSpeech: onsetS !== null, scores });
      const { outcome: verdict, delayS } = scores[0]!;
      const name = basename(clip.file);
      if (json)
        io.out(
          `${JSON.stringify({ kind: "clip", name, clipKind: clip.kind, onsetS, spans, verdict, delayS })}\n`,
        );
      else
        io.out(
          `${name.padEnd(30)} ${clip.kind.padEnd(13)} ${verdict.padEnd(13)} ${twoDigits(delayS).padStart(6)} s\n`,
        );
    }
    if (!json) io.out("\n");
    for (const [i, windowS] of WINDOWS_S.entries()) {
      const scored = results.map(({ hasSpeech, scores }) => ({ hasSpeech, score: scores[i]! }));
      const summary = summarizeGivingWay(scored, windowS);
      if (json) io.out(`${JSON.stringify({ kind: "summary", ...summary, ...model.description })}\n`);
      else io.out(`${summaryText(summary)}\n`);
    }
    return EXIT.ok;
  } finally {
    await model.close();
  }
}
