import { rmsNormReference } from "../../kernels/rms-norm/rms-norm.reference.ts";
import { createRmsNorm } from "../../kernels/rms-norm/rms-norm.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

for (const { rows, cols } of [
  { rows: 1, cols: 192 },
  { rows: 9, cols: 192 },
  { rows: 64, cols: 4096 },
]) {
  const title = `rms-norm ${rows} x ${cols}`;
  benchOnGpu(title, async (gpu) => {
    const x = gaussian(1, rows * cols);
    const weight = gaussian(2, cols);
    const out = createBuffer(gpu, { label: "out", sizeBytes: x.byteLength });
    const norm = await createRmsNorm(gpu, {
      label: "rms-norm",
      cols,
      eps: 1e-6,
      x: input(gpu, "x", x),
      weight: input(gpu, "weight", weight),
      out,
      step: step(gpu, rows),
    });
    await run(gpu, [norm], rows);
    const expected = rmsNormReference(x, weight, 1e-6);
    expectClose(new Float32Array(await readBack(gpu, out)), expected, { absolute: 1e-5 });
    await report(gpu, title, await measureDispatches(gpu, [norm], rows), {
      bytes: 4 * (2 * rows * cols + cols),
      flops: 4 * rows * cols,
    });
  });
}
