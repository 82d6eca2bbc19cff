import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GREEDY, type InputBlock } from "../../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../../models/native/checkpoint.ts";
import { createCpuBackend } from "../../../../models/native/cpu/cpu-backend.ts";
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

/** Runs a session block by block and gives what each said. */
async function speak(blocks: readonly InputBlock[]): Promise<(readonly number[])[]> {
  const backend = await createCpuBackend({ checkpoint, sampling: GREEDY, weights: "f32" });
  const spoken: (readonly number[])[] = [];
  for (const block of blocks) spoken.push(await backend.step([block]));
  await backend.close();
  return spoken;
}

/** The output tokens that the sequence keeps: neither `<next>` nor the one that reached the cap. */
function fedBack(output: readonly number[]): readonly number[] {
  return output.slice(0, -1);
}

test("probe", async () => {
  const blocks = randomBlocks(checkpoint.config, { turns: 40, seed: 5 });
  const spoken = await speak(blocks);
  console.log(spoken.map((s) => s.join(",")).join(" | "));
  const reference = referenceLogits(
    checkpoint,
    blocks.map((block, i) => ({ block, said: fedBack(spoken[i]!) })),
  );
  let wrong = 0;
  for (const [i, output] of spoken.entries())
    for (const [j, id] of output.entries()) {
      const l = reference[i]![j]!;
      const best = l.indexOf(Math.max(...l));
      if (best !== id) wrong++;
    }
  console.log("wrong", wrong);
});
