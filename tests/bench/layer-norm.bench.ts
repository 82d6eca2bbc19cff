import { layerNormReference } from "../../kernels/layer-norm/layer-norm.reference.ts";
import { createLayerNorm } from "../../kernels/layer-norm/layer-norm.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

for (const { rows, cols } of [
  { rows: 2, cols: 512 },
  { rows: 1, cols: 2048 },
  { rows: 64, cols: 4096 },
]) {
  const title = `layer-norm ${rows} x ${cols}`;
  benchOnGpu(title, async (gpu) => {
    const x = gaussian(1, rows * cols);
    const weight = gaussian(2, cols);
    const bias = gaussian(3, cols);
    const out = createBuffer(gpu, { label: "out", sizeBytes: x.byteLength });
    const norm = await createLayerNorm(gpu, {
      label: "layer-norm",
      cols,
      eps: 1e-5,
      x: input(gpu, "x", x),
      weight: input(gpu, "weight", weight),
      bias: input(gpu, "bias", bias),
      out,
      step: step(gpu, rows),
    });
    await run(gpu, [norm], rows);
    const expected = layerNormReference(x, weight, bias, 1e-5);
    expectClose(new Float32Array(await readBack(gpu, out)), expected, { absolute: 1e-5 });
    await report(gpu, title, await measureDispatches(gpu, [norm], rows), {
      bytes: 4 * (2 * rows * cols + 2 * cols),
      flops: 7 * rows * cols,
    });
  });
}
