import { unlessAborted } from "../../src/core/clock.ts";
import type { Speech, Voice } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import { Program } from "../media/child.ts";
import { readWav } from "../media/wav.ts";

const PART = "voice";
/** Words a minute: a short word takes about 0.35 s. */
const WORDS_PER_MINUTE = 165;
/** A phrase that is not spoken by then never will be, ms. */
const TIMEOUT_MS = 10_000;
/** Ten minutes of speech at 22 kHz: no phrase is that long. */
const MAX_WAV_BYTES = 32_000_000;
/** Quieter than this is silence, of full scale. */
const SILENCE = 0.005;
/** Silence that stays before and after the words, ms: the program adds a third of a second. */
const LEAD_MS = 5;
const TAIL_MS = 30;

export interface EspeakOptions {
  /** A language or voice of espeak-ng: "en", "de". */
  language?: string;
  /** Another program in its place: reads text on stdin until its end, writes a mono 16-bit WAV to stdout. */
  command?: readonly [string, ...string[]];
}

/**
 * Speaks through a text-to-speech program, one child process a phrase: espeak-ng unless told otherwise. A flush kills
 * the child. Fails with "missing-program", "invalid-media" for output that is no speech, or "device-unavailable" when
 * the program fails or does not answer.
 */
export class EspeakVoice implements Voice {
  readonly name: string;
  readonly #command: readonly [string, ...string[]];
  /** One for each phrase that is being spoken. */
  readonly #speaking = new Set<AbortController>();

  constructor(options: EspeakOptions = {}) {
    const rate = String(WORDS_PER_MINUTE);
    const { language = "en" } = options;
    this.#command = options.command ?? ["espeak-ng", "-v", language, "-s", rate, "--stdin", "--stdout"];
    this.name = `${PART} ${this.#command[0]}`;
  }

  async synthesize(text: string, signal: AbortSignal): Promise<Speech> {
    signal.throwIfAborted();
    const [command, ...args] = this.#command;
    const stop = new AbortController();
    const program = new Program({
      part: this.name,
      command,
      args,
      remedy: `Install it: sh deploy/setup.sh, or apt-get install ${command}`,
      signal: stop.signal,
      // Text goes by stdin, where it can never be taken for an option.
      input: `${text}\n`,
    });
    const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
    this.#speaking.add(stop);
    try {
      // A flush is not to wait until the killed child is gone.
      const wav = await unlessAborted(this.#read(program), signal);
      const status = await unlessAborted(program.ended, signal);
      if (status !== 0)
        throw this.#failed(stop.signal.aborted ? "no answer" : program.complaint || "no message");
      return trimSilence(readWav(this.name, wav));
    } finally {
      clearTimeout(timer);
      this.#speaking.delete(stop);
      stop.abort();
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#speaking) stop.abort();
  }

  #failed(reason: string): RuntimeError {
    const [command] = this.#command;
    return new RuntimeError("device-unavailable", {
      part: this.name,
      problem: `${command} failed (${reason})`,
      remedy: `Try it by hand: echo hello | ${this.#command.join(" ")} > hello.wav`,
    });
  }

  async #read(program: Program): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of program.stdout as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_WAV_BYTES) program.kill();
    }
    return Buffer.concat(chunks);
  }
}

/** The speech without the silence around it, but for a breath. A phrase without sound stays as it is. */
function trimSilence({ sampleRateHz, samples }: Speech): Speech {
  const first = samples.findIndex((sample) => Math.abs(sample) > SILENCE);
  const last = samples.findLastIndex((sample) => Math.abs(sample) > SILENCE);
  if (first < 0) return { sampleRateHz, samples };
  const from = first - Math.round((LEAD_MS / 1000) * sampleRateHz);
  const to = last + 1 + Math.round((TAIL_MS / 1000) * sampleRateHz);
  return { sampleRateHz, samples: samples.slice(Math.max(0, from), to) };
}
