import { createCodebooks, writeCodebook } from "../../kernels/rvq/codebooks.ts";
import { rvqEncodeReference } from "../../kernels/rvq/rvq.reference.ts";
import { createRvqSearch } from "../../kernels/rvq/rvq.ts";
import { createBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, input, readBack, run } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

for (const nCodebooks of [8, 32]) {
  const [bins, dim] = [2048, 256];
  const title = `rvq search, ${nCodebooks} codebooks of ${bins} x ${dim}`;
  benchOnGpu(title, async (gpu) => {
    const codebooks = createCodebooks(gpu, "codebooks", { nCodebooks, bins, dim });
    const centroids = Array.from({ length: nCodebooks }, (_, i) => gaussian(10 + i, bins * dim));
    for (const [i, rows] of centroids.entries()) writeCodebook(gpu, codebooks, i, rows);
    const latents = gaussian(1, 2 * dim, 2);
    const codes = createBuffer(gpu, { label: "codes", sizeBytes: 4 * nCodebooks });
    const view = input(gpu, "latents", latents);
    const search = await createRvqSearch(gpu, { label: "rvq", codebooks, latents: view, codes });
    await run(gpu, search, 1);
    const parts = [latents.subarray(0, dim), latents.subarray(dim)] as const;
    const expected = rvqEncodeReference({ bins, dim, centroids }, ...parts);
    expectClose(new Uint32Array(await readBack(gpu, codes)), expected, { absolute: 0 });
    await report(gpu, title, await measureDispatches(gpu, search, 1), {
      bytes: 4 * nCodebooks * bins * dim,
      flops: 3 * nCodebooks * bins * dim,
    });
  });
}
