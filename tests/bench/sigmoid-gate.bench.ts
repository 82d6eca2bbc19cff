import { sigmoidGateReference } from "../../kernels/sigmoid-gate/sigmoid-gate.reference.ts";
import { createSigmoidGate } from "../../kernels/sigmoid-gate/sigmoid-gate.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

for (const cols of [64, 4096]) {
  const title = `sigmoid-gate 1 x ${cols}`;
  benchOnGpu(title, async (gpu) => {
    const [x, update, logit] = [1, 2, 3].map((seed) => gaussian(seed, cols));
    const out = input(gpu, "x", x!);
    const gate = await createSigmoidGate(gpu, {
      label: "sigmoid-gate",
      cols,
      bias: -4,
      logit: input(gpu, "logit", logit!),
      update: input(gpu, "update", update!),
      x: out,
      opening: createBuffer(gpu, { label: "opening", sizeBytes: 4 }),
      place: 0,
      maxRows: 1,
      step: step(gpu, 1),
    });
    await run(gpu, [gate], 1);
    const expected = sigmoidGateReference(x!, update!, logit!, { cols, bias: -4 });
    expectClose(new Float32Array(await readBack(gpu, out)), expected.x, { absolute: 1e-5 });
    await report(gpu, title, await measureDispatches(gpu, [gate], 1), {
      bytes: 4 * 4 * cols,
      flops: 8 * cols,
    });
  });
}
