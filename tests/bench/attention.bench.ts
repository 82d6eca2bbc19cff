import { attentionReference } from "../../kernels/attention/attention.reference.ts";
import { createAttention } from "../../kernels/attention/attention.ts";
import { packRows, ROW_KIND } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** The shipped model's: 80 micro-turns of 6 perceived tokens, 256 told and 256 said. */
const SHAPE = {
  nHeads: 5,
  nKvHeads: 1,
  headDim: 64,
  capacity: 80 * 6 + 512,
  perceptionSlots: 80 * 6,
  perceptionTurns: 80,
};

for (const rows of [1, 9, 33]) {
  benchOnGpu(`attention ${rows} rows over ${SHAPE.capacity} slots`, async (gpu) => {
    const { nHeads, nKvHeads, headDim, capacity } = SHAPE;
    const positions = Array.from({ length: rows }, (_, i) => 6400 + i);
    const out = createBuffer(gpu, { label: "out", sizeBytes: rows * nHeads * headDim * 4 });
    const q = gaussian(1, rows * nHeads * headDim);
    // Keys that are all alike have the same layout in the cache as in the reference.
    const keys = new Float32Array(nKvHeads * capacity * headDim).fill(0.1);
    const values = gaussian(2, keys.length);
    const slots = new Uint32Array(capacity).fill(6400);
    const kernels = await createAttention(gpu, {
      ...SHAPE,
      label: "attention",
      maxRows: rows,
      q: input(gpu, "q", q),
      cache: { keys: input(gpu, "keys", keys), values: input(gpu, "values", values) },
      slotPositions: input(gpu, "slots", slots),
      rows: input(
        gpu,
        "rows",
        packRows(positions.map((position) => ({ position, cacheSlot: 0, kind: ROW_KIND.told, index: 0 }))),
      ),
      out,
      step: step(gpu, rows),
    });
    await run(gpu, kernels, rows);
    const expected = attentionReference(SHAPE, q, keys, values, slots, positions);
    expectClose(new Float32Array(await readBack(gpu, out)), expected, { absolute: 1e-5 });
    await report(gpu, `attention ${rows} rows`, await measureDispatches(gpu, kernels, rows), {
      bytes: 2 * keys.byteLength + 2 * q.byteLength,
      flops: 4 * rows * nHeads * capacity * headDim,
    });
  });
}
