import { expect, test } from "vitest";
import { ClockedSpeaker } from "../../devices/speaker/clocked-speaker.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { StreamingVoice, Voice } from "../../src/core/device.ts";
import type { OutputPart } from "../../src/core/micro-turn.ts";
import type { SessionEvent } from "../../src/runtime/events.ts";
import { Session } from "../../src/runtime/session.ts";
import { isAudible } from "../../src/signal/audible.ts";
import { ScriptedModel, says } from "./scripted-model.ts";

/** What a model puts out, by micro-turn of 200 ms. */
export type Said = Readonly<Record<number, string | "<yield>">>;

export interface Heard {
  /** Of kind speech, yield and device: "1200 speech hello". */
  lines: string[];
  /** What was said, in order, with when it began to sound. */
  words: { text: string; tMs: number }[];
  transcript: { text: string; startMs: number; endMs: number }[];
  /** What came round as input. */
  played: string[];
  /** Session time at which each stretch of sound began and ended, ms. */
  sounds: { startMs: number; endMs: number; isAudible: boolean }[];
  underruns: number;
  voiceFaults: number;
}

/** A session in virtual time of a model that says this, with the voice to be tried. */
export async function hear(voice: Voice | StreamingVoice, said: Said, durationMs = 8000): Promise<Heard> {
  const clock = new VirtualClock();
  const events: SessionEvent[] = [];
  const sounds: Heard["sounds"] = [];
  const script = (index: number): OutputPart[] => {
    const words = said[index];
    if (words === undefined) return [];
    return words === "<yield>" ? [{ kind: "yield" }] : says(` ${words}`);
  };
  const model = new ScriptedModel({ script });
  const session = new Session({
    clock,
    model,
    sources: [],
    voice,
    speaker: new ClockedSpeaker("listening speaker", clock, async ({ samples, sampleRateHz }, startMs) => {
      const endMs = startMs + (samples.length / sampleRateHz) * 1000;
      sounds.push({ startMs, endMs, isAudible: isAudible(samples) });
    }),
    observers: [{ event: (event) => events.push(event) }],
    durationMs,
    log: { write: () => {} },
  });
  await session.run();
  const inputs = model.steps.flat().flatMap((input) => input.events);
  return {
    lines: events.flatMap(({ tMs, kind, ...rest }) =>
      ["speech", "yield", "device"].includes(kind)
        ? [`${tMs} ${kind} ${"text" in rest ? rest.text : ""}`.trim()]
        : [],
    ),
    words: events.flatMap((event) => (event.kind === "speech" ? [{ text: event.text, tMs: event.tMs }] : [])),
    transcript: session.transcript.phrases.map((phrase) => ({ ...phrase })),
    played: inputs.flatMap((event) => (event.kind === "played" ? [event.text] : [])),
    sounds,
    underruns: session.standing.underruns,
    voiceFaults: inputs.filter((event) => event.kind === "device" && event.state === "lost").length,
  };
}

const joined = (parts: readonly { text: string }[]): string => parts.map(({ text }) => text).join(" ");

/** What a session relies on in every voice, whether it speaks whole phrases or streams words. */
export function voiceContract(open: () => Voice | StreamingVoice): void {
  test("what is said sounds, in order and word for word, and comes round as heard", async () => {
    const said = { 1: "one two", 2: "three", 9: "four" };
    const { words, transcript, played, sounds, voiceFaults } = await hear(open(), said);
    for (const told of [joined(words), joined(transcript), played.join(" ")])
      expect(told).toBe("one two three four");
    // No word sounds before it was said, at the end of its micro-turn.
    expect(words[0]!.tMs).toBeGreaterThanOrEqual(400);
    expect(words.at(-1)!.tMs).toBeGreaterThanOrEqual(2000);
    for (const { tMs } of words)
      expect(sounds.some(({ startMs }) => Math.abs(startMs - tMs) < 0.01)).toBe(true);
    for (const [n, { startMs, endMs }] of transcript.entries()) {
      expect(endMs).toBeGreaterThan(startMs);
      expect(startMs).toBeGreaterThanOrEqual(transcript[n - 1]?.endMs ?? 0);
    }
    expect(voiceFaults).toBe(0);
  });

  test("giving way silences it at once; what was not heard is told as unsaid, and never as heard", async () => {
    const said = { 0: "one two three four five six seven eight", 5: "<yield>", 12: "nine" };
    const { lines, words, transcript, played, sounds } = await hear(open(), said);
    const yieldMs = 1200;
    const unsaid =
      lines
        .find((line) => line.startsWith(`${yieldMs} yield`))
        ?.split(" ")
        .slice(2) ?? [];
    expect(unsaid.length).toBeGreaterThan(0);
    expect(unsaid.at(-1)).toBe("eight");
    // A word that is being said, or a phrase, is told as cut; beyond that a word is heard or unsaid.
    const heard = joined(transcript)
      .split(" ")
      .filter((word) => word !== "");
    expect(heard.at(-1)).toBe("nine");
    expect(played.join(" ")).toBe(heard.join(" "));
    expect(`one two three four five six seven eight`.split(" ").slice(0, heard.length - 1)).toEqual(
      heard.slice(0, -1),
    );
    expect(words.at(-1)!.text).toBe("nine");
    expect(words.at(-1)!.tMs).toBeGreaterThanOrEqual(2600);
    for (const { startMs, endMs } of sounds)
      if (startMs < yieldMs) expect(endMs).toBeLessThanOrEqual(yieldMs);
    expect(sounds.filter(({ startMs }) => startMs >= yieldMs && startMs < 2600)).toEqual([]);
  });
}
