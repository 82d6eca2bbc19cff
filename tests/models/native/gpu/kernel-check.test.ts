import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { GREEDY, type Sampling, type WeightFormat } from "../../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../../models/native/checkpoint.ts";
import { createCpuBackend } from "../../../../models/native/cpu/cpu-backend.ts";
import { GpuSession } from "../../../../models/native/gpu/gpu-session.ts";
import type { PipelineSpec } from "../../../../src/gpu/pipeline.ts";
import { describeOnGpu } from "../../../kernels/harness.ts";
import { writeRandomCheckpoint } from "../random-checkpoint.ts";
import { randomBlocks } from "../scenario.ts";

/** The shader that is to be wrong, and what stands for it: a whole path. */
const broken = vi.hoisted(() => ({ file: "", shader: "" }));

vi.mock("../../../../src/gpu/pipeline.ts", async (importOriginal) => {
  const original = await importOriginal<typeof import("../../../../src/gpu/pipeline.ts")>();
  return {
    ...original,
    createPipeline: (gpu: Parameters<typeof original.createPipeline>[0], spec: PipelineSpec) => {
      const isBroken = basename(spec.shader.pathname) === broken.file;
      const shader = isBroken ? pathToFileURL(broken.shader) : spec.shader;
      return original.createPipeline(gpu, { ...spec, shader });
    },
  };
});

/** Where `file` lies among the kernels. */
function shaderPath(file: string): string {
  const kernels = fileURLToPath(new URL("../../../../kernels", import.meta.url));
  const paths = readdirSync(kernels, { recursive: true, encoding: "utf8" });
  return join(kernels, paths.find((path) => basename(path) === file)!);
}

let directory: string;
let checkpoint: Checkpoint;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "kernel-check-"));
  await writeRandomCheckpoint(directory);
  checkpoint = await loadCheckpoint(directory);
});
afterAll(() => rm(directory, { recursive: true }));

/** What a session says over five random micro-turns, its kernels checked; and what it writes to stderr at its end. */
async function checked(
  sampling: Sampling,
  weights: WeightFormat,
): Promise<{ spoken: number[][]; log: string }> {
  const session = await GpuSession.create({ checkpoint, sampling, weights }, { check: true });
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const spoken: number[][] = [];
    for (const block of randomBlocks(checkpoint.config, { turns: 5, seed: 41 })) {
      spoken.push([...(await session.step([block]))]);
    }
    await session.close();
    return { spoken, log: stderr.mock.calls.map(([text]) => String(text)).join("") };
  } finally {
    stderr.mockRestore();
  }
}

describeOnGpu("CHECK=1", () => {
  it.each<[WeightFormat, Sampling]>([
    ["f32", GREEDY],
    ["q8", { temperature: 1, topK: 20, seed: 5 }],
  ])(
    "finds every kernel right with %s weights, and says what is said without it",
    async (weights, sampling) => {
      const { spoken, log } = await checked(sampling, weights);
      const options = { checkpoint, sampling, weights };
      if (weights === "f32") {
        const cpu = await createCpuBackend(options);
        const blocks = randomBlocks(checkpoint.config, { turns: 5, seed: 41 });
        for (const [i, block] of blocks.entries()) expect(spoken[i]).toEqual(await cpu.step([block]));
        await cpu.close();
      }
      const [, runs] = /^kernel check: (\d+) kernel runs agree with their references/.exec(log)!;
      // Per decode step and input block: embedding, six kernels a layer, norm, choice; and what hears and sees.
      const perPass = 3 + 6 * checkpoint.config.nLayers;
      expect(Number(runs)).toBeGreaterThan(perPass * spoken.flat().length);
    },
    120_000,
  );

  it.each([
    ["dmel.wgsl", "0.5 - 0.5 *", "0.54 - 0.46 *", /^dmel$/],
    ["hmlp-fold.wgsl", "0.254829592", "0.264829592", /^hmlp$/],
    ["embedding-sum.wgsl", "tick / 5u % 60u", "tick / 5u % 59u + 1u", /^input embedding-sum$/],
    ["matmul.wgsl", "+ params.eps", "* 1.001 + params.eps", /^input layers\.0\.qkv$/],
    ["qkv-rotary-cache.wgsl", "values[place + half] = x.y;", "", /^input layers\.0\.qkv-rotary-cache$/],
    [
      "attention.wgsl",
      "slot_position <= position",
      "slot_position < position",
      /^input layers\.0\.attention$/,
    ],
    ["gated-mlp.wgsl", "/ (1.0 + exp", "/ (1.01 + exp", /^input layers\.0\.gated-mlp$/],
    ["rms-norm.wgsl", "params.eps", "0.01", /^input out_norm$/],
    ["logits.wgsl", "bias[own]", "bias[0]", /^input head$/],
    [
      "sample.wgsl",
      "turn.said_position + index, slot",
      "turn.said_position + index + 1u, slot",
      /^(input|decode) head$/,
    ],
  ])(
    "stops at a fault in %s: %s -> %s",
    async (file, right, wrong, part) => {
      const source = await readFile(shaderPath(file), "utf8");
      expect(source).toContain(right);
      broken.shader = join(directory, "broken.wgsl");
      await writeFile(broken.shader, source.replaceAll(right, wrong));
      broken.file = file;
      try {
        await expect(checked(GREEDY, "f32")).rejects.toMatchObject({
          code: "kernel-mismatch",
          part: expect.stringMatching(part),
          message: expect.stringMatching(/in micro-turn \d+ .*\[\d+\] is /),
        });
      } finally {
        broken.file = "";
      }
    },
    60_000,
  );
});
