import { matmulReference } from "../../kernels/matmul/matmul.reference.ts";
import { createMatmul } from "../../kernels/matmul/matmul.ts";
import {
  MATRIX_BITS,
  type MatrixFormat,
  type MatrixSource,
  quantize,
  quantizeQ4,
  toFloats,
  uploadMatrix,
} from "../../kernels/matrix.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** Blocks before the timing, so that the expected product is that of the elements which the kernel reads. */
function stored(data: Float32Array, format: MatrixFormat): MatrixSource {
  if (format === "q8") return quantize(data);
  return format === "q4" ? quantizeQ4(data) : { kind: "f32", data };
}

/** The shipped model's projections, and two sizes at which a GPU is busy. */
const SHAPES = [
  { name: "qkv", outCols: 320, cols: 192 },
  { name: "down", outCols: 192, cols: 512 },
  { name: "square", outCols: 1024, cols: 1024 },
  { name: "large", outCols: 4096, cols: 4096 },
] as const;

for (const { name, outCols, cols } of SHAPES) {
  for (const format of ["f32", "f16", "q8", "q4"] as const) {
    for (const rows of [1, 9]) {
      const title = `matmul ${name} ${format} ${rows} x ${outCols} x ${cols}`;
      benchOnGpu(title, async (gpu) => {
        if (gpu.adapter.isSoftware && cols > 1024) return;
        const x = gaussian(1, rows * cols);
        const data = gaussian(2, outCols * cols);
        const source = stored(data, format);
        const out = createBuffer(gpu, { label: "out", sizeBytes: rows * outCols * 4 });
        const matmul = await createMatmul(gpu, {
          label: "matmul",
          x: input(gpu, "x", x),
          matrix: uploadMatrix(gpu, { label: "w", rows: outCols, cols, format }, source),
          out,
          accumulate: false,
          step: step(gpu, rows),
        });
        await run(gpu, [matmul], rows);
        // One row of x is enough to know that the right thing was timed; f16 rounds each weight by 2^-11.
        const expected = matmulReference(x.subarray(0, cols), toFloats(source), cols);
        const limits = { absolute: format === "f16" ? 6 * Math.sqrt(cols) * 2 ** -11 : 1e-3 };
        const actual = new Float32Array(await readBack(gpu, out)).subarray(0, outCols);
        expectClose(actual, expected, limits);
        await report(gpu, title, await measureDispatches(gpu, [matmul], rows), {
          bytes: (outCols * cols * MATRIX_BITS[format]) / 8 + 4 * rows * (cols + outCols),
          flops: 2 * rows * outCols * cols,
        });
      });
    }
  }
}
