import { expect } from "vitest";
import { sampleTokenReference } from "../../kernels/sample-token/sample-token.reference.ts";
import { createSampleToken, NOT_FORCED } from "../../kernels/sample-token/sample-token.ts";
import { packRows } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

const SEED = 5;

for (const { cols, temperature, topK } of [
  // The text and the audio draws of Moshi 7B as its server samples them, and a greedy one.
  { cols: 32_000, temperature: 0.7, topK: 25 },
  { cols: 2048, temperature: 0.8, topK: 250 },
  { cols: 2048, temperature: 0, topK: 0 },
]) {
  const title = `sample-token ${cols}, temperature ${temperature}, top ${topK}`;
  benchOnGpu(title, async (gpu) => {
    const logits = gaussian(1, cols, 3);
    const sampled = createBuffer(gpu, { label: "sampled", sizeBytes: 16 });
    const kernel = await createSampleToken(gpu, {
      label: "sample",
      cols,
      logits: input(gpu, "logits", logits),
      rows: input(gpu, "rows", packRows([{ position: 9, cacheSlot: 0, kind: 0, index: 0 }])),
      slot: 0,
      slots: 1,
      sampling: { temperature, topK },
      seed: SEED,
      forced: input(gpu, "forced", Int32Array.of(NOT_FORCED)),
      sampled,
      handed: createBuffer(gpu, { label: "handed", sizeBytes: 16 }),
      step: step(gpu, 1),
    });
    await run(gpu, [kernel], 1);
    const expected = sampleTokenReference(logits, { temperature, topK, seed: SEED }, 9, NOT_FORCED);
    expect(new Int32Array(await readBack(gpu, sampled))[0]).toBe(expected.sampled);
    await report(gpu, title, await measureDispatches(gpu, [kernel], 1), {
      bytes: 4 * cols,
      flops: 2 * cols,
    });
  });
}
