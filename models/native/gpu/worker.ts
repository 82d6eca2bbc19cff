// The thread that owns the GPU: it polls while a read-back is pending and must not take the main thread with it.
import { parentPort, workerData } from "node:worker_threads";
import { serveCalls } from "../../worker/serve-calls.ts";
import { GpuSession } from "./gpu-session.ts";
import type { NativeCalls, Ready, WorkerStart } from "./protocol.ts";

if (parentPort) {
  await serveCalls<NativeCalls>(parentPort, async () => {
    const session = await GpuSession.create(workerData as WorkerStart);
    const ready: Ready = { adapter: session.adapter };
    return {
      ready,
      handlers: {
        async step(blocks) {
          const tokens = await session.step(blocks);
          return { tokens, adapter: session.adapter };
        },
        reset: () => session.reset(),
        close: () => session.close(),
      },
    };
  });
}
