import { expect, it } from "vitest";
import { writeBuffer } from "../../src/gpu/buffers.ts";
import { type Kernel, KernelChecker, type Snapshot } from "../../src/gpu/kernel-check.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { dispatch } from "../../src/gpu/plan.ts";
import { describeOnGpu, input } from "../kernels/harness.ts";

describeOnGpu("kernel check", (gpu) => {
  /** Doubles 64 words; `reference` says what that should give. */
  async function doubling(reference: (words: Uint32Array) => ArrayLike<number>) {
    const words = input(
      gpu,
      "words",
      Uint32Array.from({ length: 64 }, (_, i) => i),
    );
    const factor = input(gpu, "factor", Uint32Array.of(2));
    const shader = new URL("./double.wgsl", import.meta.url);
    const pipeline = await createPipeline(gpu, { label: "double", shader, bindings: ["readWrite"] });
    const kernel: Kernel = {
      dispatches: [dispatch("double", pipeline, bind(gpu, pipeline, [words]), () => [1, 1, 1])],
      check: {
        label: "layers.3.double",
        constants: { factor },
        before: { words },
        after: { words },
        prepare: (constants: Snapshot) => {
          const times = constants.u32("factor")[0]! / 2;
          return (_rows, before, after) => [
            {
              name: "words",
              actual: after.u32("words"),
              expected: Float64Array.from(reference(before.u32("words")), (word) => times * word),
              limit: () => 0.5,
            },
          ];
        },
      },
    };
    return { kernel, factor };
  }

  it("says nothing of a kernel that is right, run after run, and sums up", async () => {
    const { kernel } = await doubling((words) => words.map((word) => 2 * word));
    const checker = new KernelChecker(gpu);
    expect(checker.summary).toBe("no kernel ran");
    for (const turn of [0, 1, 2]) await checker.run([kernel], 1, `micro-turn ${turn}`);
    expect(checker.summary).toMatch(/^3 kernel runs agree with their references; .* 0 % of its limit/);
  });

  it("tells how near a difference came to its limit, and where", async () => {
    const { kernel } = await doubling((words) => Float64Array.from(words, (word) => 2 * word + 0.25));
    const checker = new KernelChecker(gpu);
    await checker.run([kernel], 1, "micro-turn 0");
    expect(checker.summary).toContain("50 % of its limit (layers.3.double)");
  });

  it.each([
    ["is off", (word: number, i: number) => 2 * word + (i === 7 ? 1 : 0), "gives 15"],
    ["is no number", (word: number, i: number) => (i === 7 ? Number.NaN : 2 * word), "gives NaN"],
  ])("stops at the first kernel of which an element %s", async (_, expected, message) => {
    const wrong = await doubling((words) => Float64Array.from(words, expected));
    const after = await doubling((words) => words.map((word) => 2 * word));
    const checker = new KernelChecker(gpu);
    await expect(checker.run([wrong.kernel, after.kernel], 1, "micro-turn 12")).rejects.toMatchObject({
      code: "kernel-mismatch",
      part: "layers.3.double",
      problem: expect.stringMatching(new RegExp(`^in micro-turn 12 words\\[7\\] is 14, .*${message}`)),
    });
    expect(checker.summary).toBe("no kernel ran");
  });

  it("goes by the weights as they were: what is written over them later does not excuse a kernel", async () => {
    const { kernel, factor } = await doubling((words) => words.map((word) => 2 * word));
    const checker = new KernelChecker(gpu);
    await checker.run([kernel], 1, "micro-turn 0");
    writeBuffer(gpu, factor, Uint32Array.of(6));
    await checker.run([kernel], 1, "micro-turn 1");
    await expect(new KernelChecker(gpu).run([kernel], 1, "micro-turn 2")).rejects.toMatchObject({
      code: "kernel-mismatch",
    });
  });
});
