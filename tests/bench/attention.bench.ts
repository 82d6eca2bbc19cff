import { attentionReference } from "../../kernels/attention/attention.reference.ts";
import { createAttention } from "../../kernels/attention/attention.ts";
import { fromHalf, toHalves } from "../../kernels/half.ts";
import { CACHE_BYTES } from "../../kernels/kv-cache.ts";
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

for (const [rows, format] of [
  [1, "f32"],
  [9, "f32"],
  [33, "f32"],
  [1, "f16"],
] as const) {
  benchOnGpu(`attention ${format} ${rows} rows over ${SHAPE.capacity} slots`, async (gpu) => {
    const { nHeads, nKvHeads, headDim, capacity } = SHAPE;
    const positions = Array.from({ length: rows }, (_, i) => 6400 + i);
    const out = createBuffer(gpu, { label: "out", sizeBytes: rows * nHeads * headDim * 4 });
    const q = gaussian(1, rows * nHeads * headDim);
    // Keys that are all alike have the same layout in the cache as in the reference. All is exact in halves.
    const keys = new Float32Array(nKvHeads * capacity * headDim).fill(0.125);
    const values = Float32Array.from(toHalves(gaussian(2, keys.length)), fromHalf);
    const cacheView = (label: string, data: Float32Array) =>
      input(gpu, label, format === "f16" ? toHalves(data) : data);
    const slots = new Uint32Array(capacity).fill(6400);
    const kernels = await createAttention(gpu, {
      ...SHAPE,
      label: "attention",
      maxRows: rows,
      q: input(gpu, "q", q),
      cache: { format, keys: cacheView("keys", keys), values: cacheView("values", values) },
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
    await report(gpu, `attention ${format} ${rows} rows`, await measureDispatches(gpu, kernels, rows), {
      bytes: 2 * keys.length * CACHE_BYTES[format] + 2 * q.byteLength,
      flops: 4 * rows * nHeads * capacity * headDim,
    });
  });
}
