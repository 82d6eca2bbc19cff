import { uploadMatrix } from "../../kernels/matrix.ts";
import { tokenEmbeddingReference } from "../../kernels/token-embedding/token-embedding.reference.ts";
import { createTokenEmbedding } from "../../kernels/token-embedding/token-embedding.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, integers, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** Text and 16 codebooks of Moshi 7B, with tables cut short. */
const [TABLES, ROWS, COLS] = [17, 64, 4096];

benchOnGpu("token-embedding 17 x 4096", async (gpu) => {
  const table = gaussian(1, TABLES * ROWS * COLS);
  const tokens = integers(2, TABLES, ROWS);
  const entries = Array.from({ length: TABLES }, (_, slot) => ({ slot, firstRow: slot * ROWS }));
  const out = createBuffer(gpu, { label: "out", sizeBytes: COLS * 4 });
  const kernels = await createTokenEmbedding(gpu, {
    label: "token-embedding",
    table: uploadMatrix(
      gpu,
      { label: "table", rows: TABLES * ROWS, cols: COLS, format: "f32" },
      { kind: "f32", data: table },
    ),
    entries,
    tokens: input(gpu, "tokens", tokens),
    out,
    step: step(gpu, 1),
  });
  await run(gpu, kernels, 1);
  const expected = tokenEmbeddingReference(table, COLS, entries, tokens, new Float32Array(COLS));
  expectClose(new Float32Array(await readBack(gpu, out)), expected, { absolute: 1e-5 });
  await report(gpu, "token-embedding 17 x 4096", await measureDispatches(gpu, kernels, 1), {
    bytes: 4 * COLS * (TABLES + 1),
    flops: COLS * TABLES,
  });
});
