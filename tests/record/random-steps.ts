import type { InputEvent, MicroTurnOutput, OutputPart } from "../../src/core/micro-turn.ts";
import type { RecordedStep } from "../../src/record/format.ts";
import { seededUniform } from "../models/native/random-checkpoint.ts";

const HEAD = {
  profile: { seed: 5 },
  model: { model: "test", backend: "cpu", adapter: "none", reason: "a test" },
  checkpoint: { "config.json": { sizeBytes: 1, sha256: "00" } },
} as const;

/** What a recorder needs to be told beside where to write. */
export const RECORDER = { head: HEAD, sampleRateHz: 16_000, limitBytes: 1e9 } as const;

const EVENTS: readonly InputEvent[] = [
  { kind: "text", timeMs: 0.125, text: "count – “squats” \u{1F600}" },
  { kind: "serial", timeMs: 3, line: "T 21.5 *4F" },
  { kind: "played", timeMs: 1 / 3, endMs: 700.7, text: "one" },
  { kind: "device", timeMs: 5, device: "camera", state: "lost", detail: "" },
];
/** Alike before and after the recording. */
type Part = Exclude<OutputPart, { kind: "sound" }>;

const PARTS: readonly Part[] = [
  { kind: "speech", text: " one" },
  { kind: "yield" },
  { kind: "text", text: "shown" },
  { kind: "action", name: "turn", args: { degrees: 30, deep: { list: [1, null] } } },
];

export interface RandomStep extends Omit<RecordedStep, "output"> {
  output: Omit<MicroTurnOutput, "parts"> & { parts: readonly Part[] };
}

export interface RandomSteps {
  count: number;
  seed?: number;
  /** (height, width) of the pictures. Default 6 x 8. */
  size?: readonly [height: number, width: number];
}

/** Steps of every kind: late ones, sound of 16 bits and of 32, grey pictures and coloured ones, every kind of event and part. */
export function randomSteps({ count, seed = 1, size = [6, 8] }: RandomSteps): RandomStep[] {
  const uniform = seededUniform(seed);
  const below = (n: number) => Math.floor(((uniform() + 1) / 2) * n);
  const [height, width] = size;
  let index = 0;
  return Array.from({ length: count }, (_, i): RandomStep => {
    const inputs = Array.from({ length: i % 3 === 2 ? 2 : 1 }, () => {
      const startMs = 200 * index;
      const audio = Float32Array.from({ length: 64 }, () =>
        i % 2 === 0 ? below(65_536) / 32_768 - 1 : 1.5 * uniform(),
      );
      const frames = Array.from({ length: i % 4 }, (__, f) => {
        const rgb = Uint8Array.from({ length: 3 * width * height }, () => below(256));
        if (f === 1) for (let p = 0; p < rgb.length; p += 3) rgb.fill(rgb[p]!, p, p + 3);
        return { captureMs: startMs + uniform(), width, height, rgb };
      });
      return {
        index: index++,
        startMs,
        durationMs: 200,
        audio: i % 5 === 4 ? null : audio,
        frames,
        events: EVENTS.slice(0, below(EVENTS.length + 1)),
      };
    });
    return {
      inputs,
      output: {
        index: index - 1,
        tokens: Array.from({ length: below(4) }, () => below(4096)),
        parts: PARTS.slice(0, below(PARTS.length + 1)),
        unfinished: i % 7 === 0,
      },
      savings: i % 6 === 0 ? ["fewer-video-tiles", "lower-video-rate"] : [],
      stepMs: 10 + uniform(),
      late: inputs.length > 1,
    };
  });
}
