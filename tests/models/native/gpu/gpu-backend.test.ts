import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { GREEDY } from "../../../../models/native/backend.ts";
import { type Checkpoint, loadCheckpoint } from "../../../../models/native/checkpoint.ts";
import { createGpuBackend } from "../../../../models/native/gpu/gpu-backend.ts";
import { GpuSession } from "../../../../models/native/gpu/gpu-session.ts";
import { fromWire, toWire } from "../../../../models/worker/wire-fault.ts";
import { RuntimeError } from "../../../../src/core/errors.ts";
import { describeOnGpu } from "../../../kernels/harness.ts";
import { writeRandomCheckpoint } from "../random-checkpoint.ts";
import { randomBlocks } from "../scenario.ts";

let directory: string;
let checkpoint: Checkpoint;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "gpu-"));
  await writeRandomCheckpoint(directory);
  checkpoint = await loadCheckpoint(directory);
});
afterAll(() => rm(directory, { recursive: true }));

it("an error keeps its code, part and message between threads", () => {
  const error = new RuntimeError("gpu-compile", {
    part: "matmul f32",
    problem: "matmul.wgsl:3:1 no",
    remedy: "Do",
  });
  const copy = fromWire(structuredClone(toWire(error)));
  expect([copy.code, copy.part, copy.message]).toEqual([error.code, error.part, error.message]);
  expect(fromWire(toWire(new TypeError("x is not a function"))).message).toBe(
    "gpu worker: x is not a function",
  );
});

describeOnGpu("GPU backend", (gpu) => {
  it("says in its thread what the session says in this one", async () => {
    const blocks = randomBlocks(checkpoint.config, { turns: 6, seed: 31 });
    const options = { checkpoint, sampling: GREEDY, weights: "f32" } as const;
    const session = await GpuSession.create(options);
    const backend = await createGpuBackend(options);
    expect(backend.adapter).toBe(gpu.adapter.name);
    for (const block of blocks) expect(await backend.step([block])).toEqual(await session.step([block]));
    await backend.reset();
    await session.reset();
    expect(await backend.step(blocks.slice(0, 2))).toEqual(await session.step(blocks.slice(0, 2)));

    // Faults come back typed, and the thread goes on.
    const block = { turn: 9, pcm: null, video: new Int8Array(3), told: [] };
    const error: unknown = await backend.step([block]).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RuntimeError);
    expect((error as RuntimeError).code).toBe("shape-mismatch");
    expect((await backend.step(blocks.slice(2, 3))).length).toBeGreaterThan(0);

    await session.close();
    await backend.close();
    await expect(backend.step(blocks)).rejects.toThrow(RuntimeError);
    await backend.close();
  });

  it("leaves the main thread free while a step runs", async () => {
    const backend = await createGpuBackend({ checkpoint, sampling: GREEDY, weights: "f32" });
    const blocks = randomBlocks(checkpoint.config, { turns: 3, seed: 32 });
    const before = performance.eventLoopUtilization();
    for (const block of blocks) await backend.step([block]);
    // In this thread the binding would keep it at 1.
    expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.7);
    // A close that comes while a step runs lets it end.
    const step = backend.step([{ ...blocks[0]!, turn: 3 }]);
    await backend.close();
    expect((await step).length).toBeGreaterThan(0);
  });

  it("gives a fault at the start its type", async () => {
    const tensors = new Map(checkpoint.tensors);
    tensors.delete("layers.1.qkv");
    const options = { checkpoint: { ...checkpoint, tensors }, sampling: GREEDY, weights: "f32" } as const;
    await expect(createGpuBackend(options)).rejects.toMatchObject({ code: "invalid-checkpoint" });
  });
});
