import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { findMoshiFiles } from "../../models/moshi/files.ts";
import { Engine } from "../../models/moshi/worker/engine.ts";
import { describeOnGpu, gaussian } from "../kernels/harness.ts";
import { countDispatches } from "../models/moshi/count-dispatches.ts";
import { writeTinyCheckpoint } from "../models/moshi/tiny-checkpoint.ts";

/** Windows are of 20 frames and, in the codec, of 12. */
const FRAMES = Number(process.env.MOSHI_FRAMES ?? 2000);
/** Frames by which everything that is made once has been made. */
const SETTLED = 100;
/** The heap goes up and down by a few megabytes between two collections; a frame that stayed would be 15 kB. */
const HEAP_LIMIT_BYTES = 8e6;

describeOnGpu("a long conversation", () => {
  it(`of ${FRAMES} frames takes the same steps in each and the same memory`, {
    timeout: 60_000 + 2000 * FRAMES,
  }, async () => {
    const directory = await mkdtemp(join(tmpdir(), "moshi-"));
    await writeTinyCheckpoint(directory);
    const files = await findMoshiFiles(directory);
    const persona = { voice: null, role: "" };
    const engine = await Engine.create({ files, weights: "as-stored", temperature: null, seed: 3, persona });
    await engine.reset();
    const dispatches = countDispatches(engine.gpu);
    const perFrame = new Set<number>();
    const heap: number[] = [];
    const created = { ...engine.gpu.created };
    for (let n = 0; n < FRAMES; n++) {
      const from = dispatches();
      const { replies } = await engine.step([{ pcm: gaussian(n, 1920, 0.2), isLast: false }]);
      if (n > 0) perFrame.add(dispatches() - from);
      expect(replies[0]!.sound!.every(Number.isFinite)).toBe(true);
      if (n >= SETTLED) heap.push(process.memoryUsage().heapUsed);
    }
    expect(perFrame.size).toBe(1);
    expect(engine.gpu.created).toEqual(created);
    // The least of either half: what no collection takes away.
    const middle = heap.length >> 1;
    const growth = Math.min(...heap.slice(middle)) - Math.min(...heap.slice(0, middle));
    expect(growth).toBeLessThan(HEAP_LIMIT_BYTES);
    await engine.close();
    await rm(directory, { recursive: true });
  });
});
