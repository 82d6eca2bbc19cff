import { hmlpReference } from "../../kernels/hmlp/hmlp.reference.ts";
import { createHmlp } from "../../kernels/hmlp/hmlp.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, integers, readBack, run } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** The shipped model's stem. */
const SHAPE = {
  width: 80,
  height: 80,
  tile: 40,
  folds: [
    { t: 1, h: 4, out: 64 },
    { t: 1, h: 2, out: 128 },
    { t: 1, h: 5, out: 192 },
    { t: 2, h: 1, out: 192 },
  ],
  normEps: 1e-6,
};
const TILES = (SHAPE.width * SHAPE.height) / SHAPE.tile ** 2;

benchOnGpu("hmlp, a pair of frames", async (gpu) => {
  let channels = 3;
  let positions = 2 * SHAPE.width * SHAPE.height;
  let flops = 0;
  let weightCount = 0;
  const layers = SHAPE.folds.map(({ t, h, out }, i) => {
    const inputs = t * h * h * channels;
    channels = out;
    positions /= t * h * h;
    flops += 2 * positions * inputs * out;
    weightCount += inputs * out;
    const isLast = i === SHAPE.folds.length - 1;
    return {
      weight: gaussian(i, out * inputs, 1 / Math.sqrt(inputs)),
      norm: isLast ? null : new Float32Array(out).fill(1),
    };
  });
  const video = Int8Array.from(integers(9, 2 * SHAPE.width * SHAPE.height * 3, 255), (value) => value - 127);
  const out = createBuffer(gpu, { label: "tokens", sizeBytes: TILES * 192 * 4 });
  const kernels = await createHmlp(gpu, {
    ...SHAPE,
    label: "hmlp",
    layers,
    video: input(gpu, "video", new Uint8Array(video.buffer)),
    out,
  });
  await run(gpu, kernels, 1);
  const expected = hmlpReference(SHAPE, layers, video);
  expectClose(new Float32Array(await readBack(gpu, out)), expected, { absolute: 2e-5, relative: 2e-5 });
  await report(gpu, "hmlp, a pair of frames", await measureDispatches(gpu, kernels, 1), {
    bytes: 4 * weightCount + video.byteLength,
    flops,
  });
});
