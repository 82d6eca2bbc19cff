// The thread that owns the GPU: it polls while a read-back is pending and must not take the main thread with it.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { GpuSession } from "./gpu-session.ts";
import { type Reply, type Request, toWire, type WorkerStart } from "./protocol.ts";

async function answer(session: GpuSession, request: Request): Promise<Reply> {
  switch (request.kind) {
    case "step": {
      const tokens = await session.step(request.blocks);
      // A lost device may have been replaced by another.
      return { kind: "tokens", tokens, adapter: session.adapter };
    }
    case "reset":
      await session.reset();
      return { kind: "done" };
    case "close":
      await session.close();
      return { kind: "done" };
    default:
      return request satisfies never;
  }
}

async function serve(port: MessagePort): Promise<void> {
  const reply = (message: Reply): void => port.postMessage(message);
  let session: GpuSession;
  try {
    session = await GpuSession.create(workerData as WorkerStart);
  } catch (error) {
    reply({ kind: "failed", fault: toWire(error) });
    port.close();
    return;
  }
  const handle = async (request: Request): Promise<void> => {
    reply(await answer(session, request).catch((error): Reply => ({ kind: "failed", fault: toWire(error) })));
    // Nothing holds the thread once its port is closed.
    if (request.kind === "close") port.close();
  };
  port.on("message", (request: Request) => void handle(request));
  reply({ kind: "ready", adapter: session.adapter });
}

if (parentPort) await serve(parentPort);
