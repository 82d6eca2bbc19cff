import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { dmelLevels } from "../../../kernels/dmel/dmel.reference.ts";
import { type Checkpoint, loadCheckpoint } from "../../../models/native/checkpoint.ts";
import { createCpuBackend } from "../../../models/native/cpu/cpu-backend.ts";
import { VideoFeatures } from "../../../models/native/video-features.ts";
import { referenceLogits, type SpokenBlock } from "./reference-model.ts";
import { type FixtureArray, readFixture } from "./safetensors-file.ts";

// Written by `python export.py --fixture` in models/native/training: a tiny network in PyTorch, one session, its logits.
const folder = fileURLToPath(new URL("../../fixtures/native-tiny/", import.meta.url));
const isThere = existsSync(`${folder}sequence.safetensors`);

/** The fixture's numbers of token kinds. */
const KIND = { audio: 0, video: 1, told: 2, clock: 3, said: 4 };

interface Fixture {
  checkpoint: Checkpoint;
  arrays: Map<string, { shape: number[]; data: FixtureArray }>;
  sequence: SpokenBlock[];
  /** Per micro-turn the row of `logits` of its clock token and of each said token. */
  rows: number[][];
}

async function readTrainingFixture(): Promise<Fixture> {
  const checkpoint = await loadCheckpoint(folder);
  const arrays = readFixture(await readFile(`${folder}sequence.safetensors`));
  const array = (name: string) => arrays.get(name)!.data;
  const [kind, ident, pos, pcm] = [array("kind"), array("ident"), array("pos"), array("pcm")];
  const pairs = featurePairs(checkpoint, arrays.get("luma")!);
  const sequence: SpokenBlock[] = [];
  const rows: number[][] = [];
  const turns = [...new Set(Array.from(pos, (position) => Math.floor(position / 64)))];
  for (const turn of turns) {
    const tokens = [...pos.keys()].filter((i) => Math.floor(pos[i]! / 64) === turn);
    const of = (wanted: number) => tokens.filter((i) => kind[i] === wanted);
    const [audio, video] = [of(KIND.audio), of(KIND.video)];
    const said = of(KIND.said);
    const block = {
      turn,
      pcm: audio.length > 0 ? soundBefore(pcm as Float32Array, 800 * ident[audio[0]!]!) : null,
      video: video.length > 0 ? pairs[ident[video[0]!]! / video.length]! : null,
      told: of(KIND.told).map((i) => ident[i]!),
    };
    sequence.push({ block, said: said.map((i) => ident[i]!) });
    rows.push([...of(KIND.clock), ...said]);
  }
  return { checkpoint, arrays, sequence, rows };
}

/** The interval that begins at a sample, with the 50 ms before it. */
function soundBefore(pcm: Float32Array, start: number): Float32Array {
  const block = new Float32Array(4000);
  const history = Math.min(start, 800);
  block.set(pcm.subarray(start - history, start + 3200), 800 - history);
  return block;
}

/** The features of frames two by two, by way of grey pictures, whose luma is their level. */
function featurePairs(
  checkpoint: Checkpoint,
  { shape, data }: { shape: number[]; data: FixtureArray },
): Int8Array[] {
  const [count, height, width] = [shape[0]!, shape[1]!, shape[2]!];
  const features = new VideoFeatures(checkpoint.config);
  const frame = (i: number, captureMs: number) => {
    const luma = data.subarray(i * height * width, (i + 1) * height * width);
    return {
      captureMs,
      width,
      height,
      rgb: Uint8Array.from({ length: 3 * luma.length }, (_, j) => luma[Math.floor(j / 3)]!),
    };
  };
  return Array.from(
    { length: count / 2 },
    (_, pair) => features.take([frame(2 * pair, 0), frame(2 * pair + 1, 100)], 0, 200)!,
  );
}

let fixture: Fixture;

beforeAll(async () => {
  if (isThere) fixture = await readTrainingFixture();
});

test.skipIf(!isThere)("the generator hears what the runtime hears", () => {
  const { arrays } = fixture;
  const pcm = arrays.get("pcm")!.data as Float32Array;
  const whole = new Float32Array(800 + pcm.length);
  whole.set(pcm, 800);
  expect([...dmelLevels(whole)]).toEqual([...arrays.get("levels")!.data]);
});

test.skipIf(!isThere)("the generator sees what the runtime sees", () => {
  const { checkpoint, arrays } = fixture;
  const pairs = featurePairs(checkpoint, arrays.get("luma")!);
  const seen = Int8Array.from(pairs.flatMap((pair) => [...pair]));
  expect(Buffer.compare(Buffer.from(seen.buffer), Buffer.from(arrays.get("features")!.data))).toBe(0);
});

test.skipIf(!isThere)("the network trained is the network run: logits of one session", () => {
  const { checkpoint, arrays, sequence, rows } = fixture;
  const { shape, data } = arrays.get("logits")!;
  const vocabSize = shape.at(-1)!;
  const actual = referenceLogits(checkpoint, sequence);
  let largest = 0;
  for (const [i, turn] of rows.entries()) {
    for (const [j, row] of turn.entries()) {
      for (let v = 0; v < vocabSize; v++) {
        const error = Math.abs(actual[i]![j]![v]! - data[row * vocabSize + v]!);
        if (!(error <= largest)) largest = error;
      }
    }
  }
  // The fixture's embeddings and logits are rounded to f32.
  expect(largest).toBeLessThan(1e-4);
});

test.skipIf(!isThere)("the CPU backend answers the fixture's inputs as the reference does", async () => {
  const { checkpoint, sequence } = fixture;
  const sampling = { temperature: 0, topK: 0, seed: 0 };
  const backend = await createCpuBackend({ checkpoint, sampling, weights: "f32" });
  const spoken: SpokenBlock[] = [];
  const outputs: (readonly number[])[] = [];
  for (const { block } of sequence) {
    const output = await backend.step([block]);
    outputs.push(output);
    spoken.push({ block, said: output.slice(0, -1) });
  }
  await backend.close();
  const logits = referenceLogits(checkpoint, spoken);
  const chosen = logits.map((turn, i) =>
    turn.slice(0, outputs[i]!.length).map((row) => row.indexOf(Math.max(...row))),
  );
  expect(outputs).toEqual(chosen);
});
