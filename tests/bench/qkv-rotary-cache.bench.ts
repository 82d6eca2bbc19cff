import { EMPTY_POSITION } from "../../kernels/kv-cache.ts";
import { qkvRotaryCacheReference } from "../../kernels/qkv-rotary-cache/qkv-rotary-cache.reference.ts";
import { createQkvRotaryCache } from "../../kernels/qkv-rotary-cache/qkv-rotary-cache.ts";
import { packRows, ROW_KIND } from "../../kernels/step.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run, step } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

const SHAPE = {
  nHeads: 5,
  nKvHeads: 1,
  headDim: 64,
  capacity: 992,
  rotaryLog2: Array.from({ length: 32 }, (_, i) => (i < 16 ? i + 3 : 26)),
};

for (const nRows of [1, 33]) {
  benchOnGpu(`qkv-rotary-cache ${nRows} rows`, async (gpu) => {
    const { nHeads, nKvHeads, headDim, capacity } = SHAPE;
    const cacheLength = nKvHeads * capacity * headDim;
    const qkv = gaussian(1, nRows * (nHeads + 2 * nKvHeads) * headDim);
    const places = Array.from({ length: nRows }, (_, i) => ({ position: 64_000 + i, cacheSlot: 7 + i }));
    const q = createBuffer(gpu, { label: "q", sizeBytes: nRows * nHeads * headDim * 4 });
    const cacheView = (label: string) => createBuffer(gpu, { label, sizeBytes: cacheLength * 4 });
    const kernel = await createQkvRotaryCache(gpu, {
      ...SHAPE,
      label: "qkv-rotary-cache",
      qkv: input(gpu, "qkv", qkv),
      rows: input(
        gpu,
        "rows",
        packRows(places.map((place) => ({ ...place, kind: ROW_KIND.told, index: 0 }))),
      ),
      q,
      cache: { format: "f32", keys: cacheView("keys"), values: cacheView("values") },
      slotPositions: createBuffer(gpu, { label: "slots", sizeBytes: capacity * 4 }),
      step: step(gpu, nRows),
    });
    await run(gpu, [kernel], nRows);
    const expected = qkvRotaryCacheReference(SHAPE, qkv, places, {
      keys: new Float64Array(cacheLength),
      values: new Float64Array(cacheLength),
      slotPositions: new Uint32Array(capacity).fill(EMPTY_POSITION),
    });
    expectClose(new Float32Array(await readBack(gpu, q)), expected, { absolute: 4e-6 });
    await report(gpu, `qkv-rotary-cache ${nRows} rows`, await measureDispatches(gpu, [kernel], nRows), {
      bytes: 2 * qkv.byteLength,
      // A turned pair takes six operations beside its cosine and sine.
      flops: 3 * nRows * (nHeads + nKvHeads) * headDim,
    });
  });
}
