import { EMPTY_POSITION } from "../../kernels/kv-cache.ts";
import { rotaryCacheReference } from "../../kernels/rotary-cache/rotary-cache.reference.ts";
import { createRotaryCache } from "../../kernels/rotary-cache/rotary-cache.ts";
import { packRows } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** A layer of Moshi 7B with a window of a minute. */
const SHAPE = {
  nHeads: 32,
  nKvHeads: 32,
  headDim: 128,
  capacity: 750,
  rotary: { layout: "interleaved", maxPeriod: 10_000 },
} as const;

for (const nRows of [1, 2]) {
  benchOnGpu(`rotary-cache ${nRows} rows`, async (gpu) => {
    const { nHeads, nKvHeads, headDim, capacity } = SHAPE;
    const cacheLength = nKvHeads * capacity * headDim;
    const qkv = gaussian(1, nRows * (nHeads + 2 * nKvHeads) * headDim);
    const places = Array.from({ length: nRows }, (_, i) => ({
      position: 64_000 + i,
      cacheSlot: 7 + i,
      kind: 0,
      index: 0,
    }));
    const q = createBuffer(gpu, { label: "q", sizeBytes: nRows * nHeads * headDim * 4 });
    const cacheView = (label: string) => createBuffer(gpu, { label, sizeBytes: cacheLength * 4 });
    const kernel = await createRotaryCache(gpu, {
      ...SHAPE,
      label: "rotary-cache",
      qkv: input(gpu, "qkv", qkv),
      rows: input(gpu, "rows", packRows(places)),
      q,
      cache: { format: "f32", keys: cacheView("keys"), values: cacheView("values") },
      slotPositions: createBuffer(gpu, { label: "slots", sizeBytes: capacity * 4 }),
      step: step(gpu, nRows),
    });
    await run(gpu, [kernel], nRows);
    const expected = rotaryCacheReference(SHAPE, qkv, places, {
      keys: new Float64Array(cacheLength),
      values: new Float64Array(cacheLength),
      slotPositions: new Uint32Array(capacity).fill(EMPTY_POSITION),
    });
    expectClose(new Float32Array(await readBack(gpu, q)), expected, { absolute: 4e-6 });
    await report(gpu, `rotary-cache ${nRows} rows`, await measureDispatches(gpu, [kernel], nRows), {
      bytes: 2 * qkv.byteLength,
      // A turned pair takes six operations beside its cosine and sine.
      flops: 3 * nRows * (nHeads + nKvHeads) * headDim,
    });
  });
}
