import type { MessagePort } from "node:worker_threads";
import type { Call, Calls, Handlers, Reply } from "./calls.ts";
import { toWire } from "./wire-fault.ts";

/**
 * The worker's end: starts what carries out the calls, says so, and answers one call after the other until it is closed.
 *
 * @param start gives the handlers, and what the main thread is told of them.
 */
export async function serveCalls<C extends Calls>(
  port: MessagePort,
  start: () => Promise<{ handlers: Handlers<C>; ready: unknown }>,
): Promise<void> {
  const reply = (message: Reply): void => port.postMessage(message);
  let started: Awaited<ReturnType<typeof start>>;
  try {
    started = await start();
  } catch (error) {
    reply({ kind: "failed", fault: toWire(error) });
    port.close();
    return;
  }
  const handlers = started.handlers as Readonly<Record<string, (given: unknown) => Promise<unknown>>>;
  const handle = async (call: Call<C>): Promise<void> => {
    try {
      reply({ kind: "answer", answer: await handlers[call.name]!("given" in call ? call.given : undefined) });
    } catch (error) {
      reply({ kind: "failed", fault: toWire(error) });
    }
    // Nothing holds the thread once its port is closed.
    if (call.name === "close") port.close();
  };
  port.on("message", (call: Call<C>) => void handle(call));
  reply({ kind: "answer", answer: started.ready });
}
