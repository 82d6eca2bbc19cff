import type { Speech, Voice } from "../../src/core/device.ts";

const SAMPLE_RATE_HZ = 16_000;
const TONE_HZ = 200;
const LEVEL = 0.2;
/** Each word takes this long, and each of its letters this much more: "hello" 350 ms, "seven" as "7" likewise, ms. */
const WORD_MS = 100;
const LETTER_MS = 50;
/** A digit is spoken as a word of about this many letters. */
const LETTERS_PER_DIGIT = 5;
/** The tone swells and fades over this at each end of a word, so that words can be told apart and do not click, ms. */
const FADE_MS = 10;

/** How long the fake voice takes to say a text, ms: fixed by its letters alone. */
export function fakeSpeechMs(text: string): number {
  return words(text).reduce((sum, word) => sum + wordMs(word), 0);
}

/** A voice that needs no program: a tone for each word, of a length fixed by its letters, mono f32 at 16 kHz. */
export class FakeVoice implements Voice {
  readonly name = "fake voice";

  async synthesize(text: string, signal: AbortSignal): Promise<Speech> {
    signal.throwIfAborted();
    const samples = new Float32Array(Math.round((fakeSpeechMs(text) / 1000) * SAMPLE_RATE_HZ));
    let startMs = 0;
    for (const word of words(text)) {
      const endMs = startMs + wordMs(word);
      const at = (timeMs: number) => Math.round((timeMs / 1000) * SAMPLE_RATE_HZ);
      writeTone(samples.subarray(at(startMs), at(endMs)));
      startMs = endMs;
    }
    return { sampleRateHz: SAMPLE_RATE_HZ, samples };
  }

  async close(): Promise<void> {}
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function wordMs(word: string): number {
  const letters = [...word].reduce((sum, char) => sum + (/\d/.test(char) ? LETTERS_PER_DIGIT : 1), 0);
  return WORD_MS + LETTER_MS * letters;
}

function writeTone(samples: Float32Array): void {
  const fade = (FADE_MS / 1000) * SAMPLE_RATE_HZ;
  for (let i = 0; i < samples.length; i++) {
    const edge = Math.min(1, i / fade, (samples.length - 1 - i) / fade);
    samples[i] = LEVEL * edge * Math.sin((2 * Math.PI * TONE_HZ * i) / SAMPLE_RATE_HZ);
  }
}
