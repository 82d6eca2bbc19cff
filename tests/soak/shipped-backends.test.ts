import { afterAll, beforeAll, expect, it } from "vitest";
import { loadNativeModel } from "../../models/native/model.ts";
import { loadScene } from "../../src/cli/scene.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { describeOnGpu } from "../kernels/harness.ts";
import { live, scenePath, shipped } from "../models/native/demo-scene.ts";

describeOnGpu("the shipped checkpoint on both backends", () => {
  let gpu: InteractionModel;
  let cpu: InteractionModel;
  beforeAll(async () => {
    gpu = await loadNativeModel({ directory: shipped, backend: "gpu" });
    cpu = await loadNativeModel({ directory: shipped, backend: "cpu" });
  });
  afterAll(async () => {
    await gpu.close();
    await cpu.close();
  });

  it("chooses the same tokens for a whole session", async () => {
    const scene = await loadScene(scenePath);
    const durationMs = scene.durationS * 1000;
    const [onGpu, onCpu] = [await live(gpu, scene, durationMs), await live(cpu, scene, durationMs)];
    expect(onGpu.tokens).toEqual(onCpu.tokens);
    expect(onGpu.tokens.flat().length).toBeGreaterThan(onGpu.tokens.length); // it did speak
  }, 240_000);
});
