import { gatedMlpReference } from "../../kernels/gated-mlp/gated-mlp.reference.ts";
import { createGatedMlp } from "../../kernels/gated-mlp/gated-mlp.ts";
import { MATRIX_BITS, quantize, toFloats, uploadMatrix } from "../../kernels/matrix.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

const COLS = 192;
const OUT_COLS = 512;
const EPS = 1e-6;

for (const format of ["f32", "f16", "q8"] as const) {
  for (const rows of [1, 9]) {
    const title = `gated-mlp ${format} ${rows} x ${OUT_COLS} x ${COLS}`;
    benchOnGpu(title, async (gpu) => {
      const x = gaussian(1, rows * COLS);
      const norm = gaussian(2, COLS);
      const data = gaussian(3, 2 * OUT_COLS * COLS, 1 / Math.sqrt(COLS));
      const source = format === "q8" ? quantize(data) : ({ kind: "f32", data } as const);
      const out = createBuffer(gpu, { label: "out", sizeBytes: rows * OUT_COLS * 4 });
      const mlp = await createGatedMlp(gpu, {
        label: "gated-mlp",
        x: input(gpu, "x", x),
        norm: { weight: input(gpu, "norm", norm), eps: EPS },
        gateUp: uploadMatrix(gpu, { label: "w", rows: 2 * OUT_COLS, cols: COLS, format }, source),
        out,
        step: step(gpu, rows),
      });
      await run(gpu, [mlp], rows);
      const expected = gatedMlpReference(x, norm, toFloats(source), EPS);
      // Both factors are of size 1 to 4; f16 rounds each weight by 2^-11.
      const limits = { absolute: format === "f16" ? 2e-2 : 1e-4 };
      expectClose(new Float32Array(await readBack(gpu, out)), expected, limits);
      await report(gpu, title, await measureDispatches(gpu, [mlp], rows), {
        bytes: (2 * OUT_COLS * COLS * MATRIX_BITS[format]) / 8 + 4 * rows * (COLS + OUT_COLS),
        flops: 4 * rows * OUT_COLS * COLS,
      });
    });
  }
}
