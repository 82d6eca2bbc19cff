import { afterEach, expect } from "vitest";
import { InProcessBroker, type InProcessLink } from "../../../src/reasoner/link/in-process.ts";
import type { Reply } from "../../../src/reasoner/protocol/messages.ts";
import { WorkerMetrics } from "../../../src/reasoner/worker/metrics.ts";
import { ReasonerWorker, type WorkerEvent } from "../../../src/reasoner/worker/worker.ts";
import { workerLinkOptions } from "../../../src/reasoner/worker/worker-link.ts";
import { clientOf } from "../endpoint/client.ts";
import { type Answer, type Received, ScriptedEndpoint } from "../endpoint/scripted-endpoint.ts";
import { RawDevice } from "./raw-device.ts";

/** Ended after each test, the last first. */
export const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

export interface Scene {
  broker: InProcessBroker;
  device: RawDevice;
  deviceLink: InProcessLink;
  endpoint: ScriptedEndpoint;
}

/** An in-process broker, a device on it, and an endpoint over HTTP that does as `script` says. */
export async function scene(script: (request: Received, index: number) => Answer): Promise<Scene> {
  const broker = new InProcessBroker();
  const endpoint = await ScriptedEndpoint.start(script);
  const deviceLink = broker.link(RawDevice.linkOptions("mirror"));
  const device = await RawDevice.join("mirror", deviceLink);
  closers.push(
    () => endpoint.close(),
    () => device.close(),
  );
  return { broker, device, deviceLink, endpoint };
}

export interface Hired {
  worker: ReasonerWorker;
  link: InProcessLink;
  metrics: WorkerMetrics;
  events: WorkerEvent[];
}

/** Starts a worker and waits until it is there. */
export async function hire(
  { broker, device, endpoint }: Scene,
  { id = "w1", concurrency = 2, leaseMs = 60_000, deltaIntervalMs = 0 } = {},
): Promise<Hired> {
  const link = broker.link(workerLinkOptions({ id, concurrency }));
  const metrics = new WorkerMetrics({ process: false });
  const events: WorkerEvent[] = [];
  const worker = new ReasonerWorker({
    id,
    group: "reasoners",
    link,
    endpoint: clientOf(endpoint.baseUrl),
    concurrency,
    leaseMs,
    deltaIntervalMs,
    metrics,
    onEvent: (event) => events.push(event),
  });
  worker.start();
  closers.push(() => worker.drain(0));
  await device.until(() => device.presences.get(id) === "online");
  return { worker, link, metrics, events };
}

/** Resolves when the test says so. */
export function gate(): { open: () => void; opened: Promise<void> } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** The text that a receiver puts together from deltas: an offset of 0 begins anew. */
export function joined(replies: readonly Reply[]): string {
  let whole = "";
  for (const reply of replies) {
    if (reply.kind !== "delta") continue;
    expect([0, whole.length]).toContain(reply.offset);
    whole = whole.slice(0, reply.offset) + reply.text;
  }
  return whole;
}

/** What kinds of replies there were, in order. */
export const kinds = (replies: readonly Reply[]) => replies.map(({ kind }) => kind);
/** What the endpoint was told last. */
export const lastUserText = (request: Received) =>
  request.body.messages.findLast(({ role }) => role === "user")!.content;
