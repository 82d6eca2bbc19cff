import { dmelLevels } from "../../kernels/dmel/dmel.reference.ts";
import { createDmel } from "../../kernels/dmel/dmel.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measure, measureDispatches, report } from "./measure.ts";

const FRAMES = 4;
/** Complex products of the two passes, with real inputs in the first, and the filters'. */
const FLOPS = FRAMES * (1600 * 40 * 4 + 801 * 40 * 8 + 2 * 1600);

benchOnGpu("dmel 200 ms", async (gpu) => {
  const pcm = gaussian(1, 4000, 0.1);
  const levels = createBuffer(gpu, { label: "levels", sizeBytes: FRAMES * 80 * 4 });
  const kernel = await createDmel(gpu, {
    label: "dmel",
    frames: FRAMES,
    pcm: input(gpu, "pcm", pcm),
    levels,
  });
  await run(gpu, [kernel], 1);
  // A level near a boundary may differ: see the test.
  expectClose(new Uint32Array(await readBack(gpu, levels)), dmelLevels(pcm), { absolute: 1 });
  await report(gpu, "dmel 200 ms", await measureDispatches(gpu, [kernel], 1), {
    bytes: pcm.byteLength + 1600 * 8 + FRAMES * 80 * 4,
    flops: FLOPS,
  });
  const { medianMs, p95Ms } = await measure(1, async () => void dmelLevels(pcm));
  process.stdout.write(
    `dmel 200 ms, reference on the processor: median ${medianMs.toFixed(3)} ms, p95 ${p95Ms.toFixed(3)} ms\n`,
  );
});
