// The thread that owns the GPU: it polls while a read-back is pending and must not take the main thread with it.
import { parentPort, workerData } from "node:worker_threads";
import { serveCalls } from "../../worker/serve-calls.ts";
import { Engine } from "./engine.ts";
import type { MoshiCalls, WorkerStart } from "./protocol.ts";

if (parentPort) {
  await serveCalls<MoshiCalls>(parentPort, async () => {
    const engine = await Engine.create(workerData as WorkerStart);
    return {
      ready: engine.ready,
      handlers: {
        step: (frames) => engine.step(frames),
        reset: () => engine.reset(),
        begin: (conversation) => engine.begin(conversation),
        close: () => engine.close(),
      },
    };
  });
}
