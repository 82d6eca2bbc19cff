/** A stretch of speech that sounded, session seconds. */
export interface SpokenSpan {
  startS: number;
  endS: number;
}

/** One clip played into a session that is speaking. Judged by what sounded alone, not by what the model meant. */
export interface GivingWayTrial {
  /** What sounded, in order. */
  spans: readonly SpokenSpan[];
  /** When the clip begins and ends, session seconds. */
  clipStartS: number;
  clipEndS: number;
  /** When a person begins to speak in it; null if nobody does. */
  onsetS: number | null;
  /** The same speech if nothing is heard. */
  undisturbed: readonly SpokenSpan[];
}

export type GivingWayOutcome =
  /** A person spoke and the speech ended in time, or nobody spoke and it went on. */
  | "right"
  /** A person spoke; the speech ended early, but after the window. */
  | "late"
  /** A person spoke and the speech went on to its own end. */
  | "missed"
  /** The speech was broken off before a person spoke, or though nobody did. */
  | "false"
  /** The model was not speaking when the clip or the person began: nothing to give way with. */
  | "not speaking";

export interface GivingWayScore {
  outcome: GivingWayOutcome;
  /** Onset to silence, seconds; null if it did not give way after an onset. */
  delayS: number | null;
}

/** A shorter silence is a pause between two phrases, seconds. */
const SILENCE_S = 1;
/** Two sessions in virtual time that said the same so far sound the same to within this, seconds. */
const SAME_S = 0.05;
/** Speech that ends this much before its undisturbed end has come to its own end, seconds. */
const END_TOLERANCE_S = 0.5;

/** Joins what is parted by pauses only. */
export function joinPauses(spans: readonly SpokenSpan[]): SpokenSpan[] {
  const talks: SpokenSpan[] = [];
  for (const span of spans) {
    const last = talks.at(-1);
    if (last !== undefined && span.startS - last.endS < SILENCE_S) last.endS = Math.max(last.endS, span.endS);
    else talks.push({ ...span });
  }
  return talks;
}

/** @param windowS how soon after the onset it must be silent: 0.4 by the measure, 1.0 for comparison. */
export function scoreGivingWay(trial: GivingWayTrial, windowS: number): GivingWayScore {
  const { clipStartS, clipEndS, onsetS, undisturbed } = trial;
  const talk = joinPauses(trial.spans).find(({ startS, endS }) => startS <= clipStartS && endS > clipStartS);
  if (talk === undefined) return { outcome: "not speaking", delayS: null };
  const ownEndS = joinPauses(undisturbed)[0]?.endS ?? talk.endS;
  const brokenOff = talk.endS < ownEndS - END_TOLERANCE_S;
  if (onsetS === null) {
    return { outcome: brokenOff && talk.endS <= clipEndS ? "false" : "right", delayS: null };
  }
  // An onset may fall between two words: it came too late for giving way only if a word was left out before it.
  const leftOut = undisturbed.some((s) => s.endS > talk.endS + SAME_S && s.startS < onsetS - SAME_S);
  if (talk.endS < onsetS && leftOut) return { outcome: "false", delayS: null };
  if (talk.endS < onsetS && !brokenOff) return { outcome: "not speaking", delayS: null };
  if (!brokenOff) return { outcome: "missed", delayS: null };
  const delayS = Math.max(0, talk.endS - onsetS);
  return { outcome: delayS <= windowS ? "right" : "late", delayS };
}

export interface GivingWaySummary {
  windowS: number;
  /** Clips in which a person speaks and the model was speaking. */
  speechClips: number;
  yielded: number;
  yieldedShare: number | null;
  /** Clips of noise and music during which the model was speaking. */
  otherClips: number;
  falseYields: number;
  falseShare: number | null;
  /** Clips that say nothing because the model was not speaking. */
  notSpeaking: number;
}

export function summarizeGivingWay(
  clips: readonly { hasSpeech: boolean; score: GivingWayScore }[],
  windowS: number,
): GivingWaySummary {
  const counted = clips.filter(({ score }) => score.outcome !== "not speaking");
  const speech = counted.filter(({ hasSpeech }) => hasSpeech);
  const other = counted.filter(({ hasSpeech }) => !hasSpeech);
  const yielded = speech.filter(({ score }) => score.outcome === "right").length;
  const falseYields = other.filter(({ score }) => score.outcome === "false").length;
  return {
    windowS,
    speechClips: speech.length,
    yielded,
    yieldedShare: speech.length > 0 ? yielded / speech.length : null,
    otherClips: other.length,
    falseYields,
    falseShare: other.length > 0 ? falseYields / other.length : null,
    notSpeaking: clips.length - counted.length,
  };
}
