import type { Played } from "../../core/device.ts";
import { printable } from "../view/printable.ts";
import { type HeardWord, joinWords, phrasesHeard } from "./phrases.ts";

/** A word of a fifth of a second cannot be read: a caption stands at least this long, ms. */
const MIN_CAPTION_MS = 900;

function vttTime(ms: number): string {
  const total = Math.round(ms);
  const part = (value: number, digits: number): string => String(value).padStart(digits, "0");
  const hours = part(Math.floor(total / 3_600_000), 2);
  return `${hours}:${part(Math.floor(total / 60_000) % 60, 2)}:${part(Math.floor(total / 1000) % 60, 2)}.${part(total % 1000, 3)}`;
}

/**
 * What really sounded, and what speech to text has heard, as WebVTT. A caption ends where the next begins; words that were
 * cut off end in a dash.
 */
export function webVtt(played: readonly Played[], heard: readonly HeardWord[] = []): string {
  const phrases = [...joinWords(played), ...phrasesHeard(heard)].sort((a, b) => a.startMs - b.startMs);
  const cues = phrases.map(({ text, startMs, endMs, whole }, i) => {
    const nextMs = phrases[i + 1]?.startMs ?? Number.POSITIVE_INFINITY;
    const untilMs = Math.max(endMs, Math.min(startMs + MIN_CAPTION_MS, nextMs));
    const words = printable(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    return `${vttTime(startMs)} --> ${vttTime(untilMs)}\n${words}${whole ? "" : " —"}\n`;
  });
  return ["WEBVTT\n", ...cues].join("\n");
}
