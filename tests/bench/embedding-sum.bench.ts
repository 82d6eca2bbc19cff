import { embeddingSumReference } from "../../kernels/embedding-sum/embedding-sum.reference.ts";
import { createEmbeddingSum, uploadTables } from "../../kernels/embedding-sum/embedding-sum.ts";
import { uploadMatrix } from "../../kernels/matrix.ts";
import { packRows, ROW_KIND, type Row } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, integers, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

const COLS = 192;
const VOCAB_SIZE = 1024;
const TABLES = {
  role: gaussian(1, 2 * COLS),
  clock: gaussian(2, 61 * COLS),
  tile: gaussian(3, 4 * COLS),
  audio: gaussian(4, 1280 * COLS),
  audioNorm: gaussian(5, COLS),
};
const token = (kind: number, index: number): Row => ({ position: 0, cacheSlot: 0, kind, index });

/** Rows of the tables that each kind of token sums. */
const CASES = [
  { name: "one word", rows: [token(ROW_KIND.said, 7)], summed: 2 },
  {
    name: "sound, picture and clock",
    rows: [
      ...[0, 1, 2, 3].map((frame) => token(ROW_KIND.audio, frame)),
      ...[0, 1, 2, 3].map((tile) => token(ROW_KIND.video, tile)),
      token(ROW_KIND.clock, 12345),
    ],
    summed: 4 * 80 + 4 * 2 + 6,
  },
];

for (const { name, rows, summed } of CASES) {
  const title = `embedding-sum ${name}`;
  benchOnGpu(title, async (gpu) => {
    const text = gaussian(6, VOCAB_SIZE * COLS);
    const levels = integers(7, 4 * 80, 16);
    const tiles = gaussian(8, 4 * COLS);
    const out = createBuffer(gpu, { label: "out", sizeBytes: rows.length * COLS * 4 });
    const sizes = { nChannels: 80, nLevels: 16, eps: 1e-6 };
    const spec = { label: "text", rows: VOCAB_SIZE, cols: COLS, format: "f32" } as const;
    const embed = await createEmbeddingSum(gpu, {
      ...sizes,
      label: "embedding-sum",
      text: uploadMatrix(gpu, spec, { kind: "f32", data: text }),
      tables: uploadTables(gpu, COLS, TABLES),
      rows: input(gpu, "rows", packRows(rows)),
      levels: input(gpu, "levels", levels),
      tiles: input(gpu, "tiles", tiles),
      out,
      step: step(gpu, rows.length),
    });
    await run(gpu, [embed], rows.length);
    const expected = embeddingSumReference({
      ...sizes,
      rows,
      text,
      tables: TABLES,
      levels,
      tiles,
      cols: COLS,
    });
    const actual = new Float32Array(await readBack(gpu, out));
    expectClose(actual, expected, { absolute: 1e-5, relative: 1e-5 });
    await report(gpu, title, await measureDispatches(gpu, [embed], rows.length), {
      bytes: 4 * COLS * (summed + rows.length),
      flops: COLS * summed,
    });
  });
}
