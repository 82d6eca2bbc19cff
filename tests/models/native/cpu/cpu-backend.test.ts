import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GREEDY, type InputBlock, type Sampling } from "../../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../../models/native/checkpoint.ts";
import { createCpuBackend } from "../../../../models/native/cpu/cpu-backend.ts";
import { Decoder } from "../../../../models/native/cpu/decoder.ts";
import { withWeights } from "../../../../models/native/quantize.ts";
import { planInput, planSaid } from "../../../../models/native/sequence.ts";
import { writeRandomCheckpoint } from "../random-checkpoint.ts";
import { referenceLogits, type SpokenBlock } from "../reference-model.ts";
import { randomBlocks, type ScenarioOptions } from "../scenario.ts";

let directory: string;
let checkpoint: Checkpoint;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cpu-"));
  await writeRandomCheckpoint(directory);
  checkpoint = await loadCheckpoint(directory);
});
afterAll(() => rm(directory, { recursive: true }));

/** Runs a session, each entry of `steps` one call, and gives what each call said. */
async function speak(steps: readonly (readonly InputBlock[])[], sampling: Sampling = GREEDY) {
  const backend = await createCpuBackend({ checkpoint, sampling, weights: "f32" });
  const spoken: (readonly number[])[] = [];
  for (const blocks of steps) spoken.push(await backend.step(blocks));
  await backend.close();
  return spoken;
}

function oneByOne(blocks: readonly InputBlock[]): InputBlock[][] {
  return blocks.map((block) => [block]);
}

/** What the whole-sequence reference would have said, greedily, at each place of what was said. */
function referenceChoices(sequence: readonly { block: InputBlock; output: readonly number[] }[]): number[][] {
  // Neither `<next>` nor the token that reached the cap stays in the sequence.
  const fed: SpokenBlock[] = sequence.map(({ block, output }) => ({ block, said: output.slice(0, -1) }));
  return referenceLogits(checkpoint, fed).map((rows, i) =>
    rows.slice(0, sequence[i]!.output.length).map((logits) => logits.indexOf(Math.max(...logits))),
  );
}

test.each<[string, ScenarioOptions]>([
  ["sound, pictures and text", { turns: 60, seed: 5 }],
  ["pictures and text", { turns: 40, seed: 6, hears: false }],
  ["sound and text", { turns: 40, seed: 7, sees: false }],
  ["text alone", { turns: 40, seed: 8, hears: false, sees: false }],
  ["positions over 2^20, where every angle wraps", { turns: 30, seed: 9, firstTurn: 2 ** 14 - 15 }],
  ["positions over 2^30", { turns: 20, seed: 10, firstTurn: 2 ** 24 - 10 }],
])("greedy tokens are those of the whole-sequence reference: %s", async (_, options) => {
  const blocks = randomBlocks(checkpoint.config, options);
  const spoken = await speak(oneByOne(blocks));
  const chosen = referenceChoices(blocks.map((block, i) => ({ block, output: spoken[i]! })));
  expect(spoken).toEqual(chosen);

  // The scenario must be worth the name: rings overflow, blocks end in both ways.
  const { memory, limits, tokens } = checkpoint.config;
  expect(blocks.reduce((n, block) => n + block.told.length, 0)).toBeGreaterThan(2 * memory.toldTokens);
  expect(spoken.flat().length).toBeGreaterThan(2 * memory.saidTokens);
  expect(spoken.some((output) => output.at(-1) === tokens.next)).toBe(true);
  expect(spoken.some((output) => output.length === limits.outputTokensPerMicroTurn)).toBe(true);
});

/** The decoder's logits after each block and each said token, with `said` put into its mouth. */
async function decoderLogits(using: Checkpoint, sequence: readonly SpokenBlock[]): Promise<Float32Array[][]> {
  const decoder = await Decoder.create(using);
  const counts = { told: 0, said: 0 };
  const logits: Float32Array[][] = [];
  for (const { block, said } of sequence) {
    const features = { turn: block.turn, levels: null, tiles: null };
    const rows = [await decoder.run(planInput(using.config, counts, block), features)];
    counts.told += block.told.length;
    for (const [i, id] of said.entries()) {
      rows.push(await decoder.run([planSaid(using.config, counts, block.turn, i, id)], null));
      counts.said++;
    }
    logits.push(rows);
  }
  await decoder.close();
  return logits;
}

function scriptedSequence(): SpokenBlock[] {
  const blocks = randomBlocks(checkpoint.config, { turns: 30, seed: 21, hears: false, sees: false });
  return blocks.map((block, i) => ({ block, said: Array.from({ length: i % 5 }, (_, j) => 7 * i + j) }));
}

test("logits are within f32 rounding of the reference", async () => {
  const sequence = scriptedSequence();
  const expected = referenceLogits(checkpoint, sequence).flat(2);
  const actual = (await decoderLogits(checkpoint, sequence)).flat();
  expect(actual.length).toBe(expected.length);
  // 2 layers of sums of at most 64 products of size 1: some tens of roundings of 6e-8, with room for ten times that.
  for (const [i, row] of actual.entries()) {
    for (const [v, value] of row.entries()) expect(Math.abs(value - expected[i]![v]!)).toBeLessThan(2e-5);
  }
});

test("8-bit logits differ from those of the rounded weights by the rounding of the activations alone", async () => {
  const rounded = withWeights(checkpoint, "q8");
  const sequence = scriptedSequence();
  const expected = referenceLogits(rounded, sequence).flat();
  const actual = (await decoderLogits(rounded, sequence)).flat();
  let squaredError = 0;
  let squares = 0;
  for (const [i, row] of actual.entries()) {
    for (const [v, value] of row.entries()) {
      squaredError += (value - expected[i]![v]!) ** 2;
      squares += expected[i]![v]! ** 2;
    }
  }
  // int8 activations carry a relative error of about 1/250 per product; some ten products follow each other.
  expect(Math.sqrt(squaredError / squares)).toBeLessThan(0.03);
});

test("late micro-turns are heard in order and only the last is answered", async () => {
  const blocks = randomBlocks(checkpoint.config, { turns: 24, seed: 11 });
  const steps: InputBlock[][] = [];
  for (let i = 0; i < blocks.length; i += 3) steps.push(blocks.slice(i, i + 1), blocks.slice(i + 1, i + 3));
  const spoken = await speak(steps);
  const last = new Map(steps.map((step, i) => [step.at(-1)!, spoken[i]!]));
  const sequence = blocks.map((block) => ({ block, output: last.get(block) ?? [] }));
  const chosen = referenceChoices(sequence);
  expect(sequence.map(({ output }) => output)).toEqual(chosen);
});

test("after a reset a session runs as the first did", async () => {
  const blocks = randomBlocks(checkpoint.config, { turns: 12, seed: 12 });
  const backend = await createCpuBackend({ checkpoint, sampling: GREEDY, weights: "f32" });
  const run = async () => {
    const spoken: (readonly number[])[] = [];
    for (const block of blocks) spoken.push(await backend.step([block]));
    return spoken;
  };
  const first = await run();
  await backend.reset();
  expect(await run()).toEqual(first);
  await backend.close();
});

test("a sample depends on the seed and the input alone; the best of one is greedy", async () => {
  const steps = oneByOne(randomBlocks(checkpoint.config, { turns: 10, seed: 13 }));
  const sampled = await speak(steps, { temperature: 1, topK: 20, seed: 77 });
  expect(await speak(steps, { temperature: 1, topK: 20, seed: 77 })).toEqual(sampled);
  expect(await speak(steps, { temperature: 1, topK: 20, seed: 78 })).not.toEqual(sampled);
  expect(await speak(steps, { temperature: 1, topK: 1, seed: 77 })).toEqual(await speak(steps));
});

test.each<[string, Partial<InputBlock>, RegExp]>([
  ["a short sound", { pcm: new Float32Array(3200) }, /pcm holds 3200 samples, expected 4000/],
  ["a small picture", { video: new Int8Array(3) }, /video holds 3 features, expected 768/],
  ["too much text", { told: Array(9).fill(5) }, /told holds 9 tokens, expected at most 8/],
  ["an unknown token", { told: [320] }, /told token 320 is not in the vocabulary of 320/],
  ["a turn that is no number", { turn: Number.NaN }, /turn is NaN/],
])("a block with %s is refused", async (_, change, message) => {
  const backend = await createCpuBackend({ checkpoint, sampling: GREEDY, weights: "f32" });
  await expect(backend.step([{ turn: 0, pcm: null, video: null, told: [], ...change }])).rejects.toThrow(
    message,
  );
  await backend.close();
});
