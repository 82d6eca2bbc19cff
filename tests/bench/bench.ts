import { bench, describe } from "vitest";
import { RuntimeError } from "../../src/core/errors.ts";
import { type Gpu, openGpu } from "../../src/gpu/device.ts";

async function openShared(): Promise<Gpu | null> {
  try {
    return await openGpu();
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== "gpu-unavailable") throw error;
    process.stderr.write(`skipped: ${error.message}\n`);
    return null;
  }
}

const shared = await openShared();

/**
 * One bench of a kernel: `run` verifies, measures and prints by itself, as one submission must be timed over many runs
 * of the kernel. vitest only names it; it calls it more often than told, so all calls share one run.
 */
export function benchOnGpu(name: string, run: (gpu: Gpu) => Promise<void>): void {
  describe.skipIf(!shared)(name, () => {
    let ran: Promise<void> | undefined;
    const once = () => {
      ran ??= run(shared!);
      return ran;
    };
    bench(name, once, { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0 });
  });
}
