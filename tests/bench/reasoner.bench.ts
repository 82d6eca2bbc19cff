import { performance } from "node:perf_hooks";
import { bench, describe } from "vitest";
import { percentile } from "../../src/observe/percentile.ts";
import { MqttLink } from "../../src/reasoner/link/mqtt-link.ts";
import { WorkerMetrics } from "../../src/reasoner/worker/metrics.ts";
import { ReasonerWorker } from "../../src/reasoner/worker/worker.ts";
import { workerLinkOptions } from "../../src/reasoner/worker/worker-link.ts";
import { clientOf } from "../reasoner/endpoint/client.ts";
import { answer, ScriptedEndpoint, text } from "../reasoner/endpoint/scripted-endpoint.ts";
import { describeWithBroker, Mosquitto } from "../reasoner/parts/mosquitto.ts";
import { RawDevice } from "../reasoner/worker/raw-device.ts";

const WARM_UP = 50;
/** Tasks one after the other. */
const ROUND_TRIPS = 500;
/** Tasks that are kept under way together. */
const CONCURRENCY = 32;
const TASKS = 1000;

interface Stage {
  device: RawDevice;
  close(): Promise<void>;
}

/** Lets the endpoint end the answer under way. */
let release = () => {};

/**
 * A device and one worker on mosquitto, by TLS, in one process; an endpoint that answers at once over HTTP. Asked for
 * a task by the name of "slow", it ends the answer when `release` is called: a result that is there at once needs no
 * delta, and none is sent.
 */
async function stage(): Promise<Stage> {
  const broker = await Mosquitto.start({ devices: ["mirror"] });
  const endpoint = await ScriptedEndpoint.start(({ body }) => {
    if (!JSON.stringify(body.messages.at(-1)).includes("slow")) return answer("Three ", "easy ", "runs.");
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    return { steps: [text("Three "), { until: released }, ...answer("easy ", "runs.").steps] };
  });
  const device = await RawDevice.join(
    "mirror",
    new MqttLink({ ...RawDevice.linkOptions("mirror"), ...broker.tls("mirror") }),
  );
  const id = "bench";
  const worker = new ReasonerWorker({
    id,
    group: "reasoners",
    // One more than the bench gives it: it never leaves the group.
    concurrency: CONCURRENCY + 1,
    link: new MqttLink({
      ...workerLinkOptions({ id, concurrency: CONCURRENCY + 1 }),
      ...broker.tls("worker"),
    }),
    endpoint: clientOf(endpoint.baseUrl),
    leaseMs: 15_000,
    deltaIntervalMs: 250,
    metrics: new WorkerMetrics({ process: false }),
  });
  worker.start();
  await device.until(() => device.presences.get(id) === "online");
  return {
    device,
    async close() {
      await worker.drain(0);
      await device.close();
      await endpoint.close();
      await broker.stop();
    },
  };
}

/** One task; the time from the request to its first delta, ms. */
async function task(device: RawDevice, name: string): Promise<number> {
  const start = performance.now();
  await device.request({ task: name, text: "slow" });
  await device.reply("delta", (reply) => reply.task === name);
  const firstMs = performance.now() - start;
  release();
  const result = await device.reply("result", (reply) => reply.task === name);
  if (result.text !== "Three easy runs.") throw new Error(`a wrong result: ${result.text}`);
  device.replies.length = 0;
  return firstMs;
}

function line(name: string, times: number[]): string {
  times.sort((a, b) => a - b);
  const at = (share: number) => percentile(times, share).toFixed(2);
  return `${name}: median ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms`;
}

async function roundTrips(device: RawDevice): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await task(device, `warm${i}`);
  const times: number[] = [];
  for (let i = 0; i < ROUND_TRIPS; i++) times.push(await task(device, `one${i}`));
  process.stdout.write(
    `${line(`reasoner over loopback TLS, ${ROUND_TRIPS} tasks one after the other, request to first delta`, times)}\n`,
  );
}

/** Results a second with `CONCURRENCY` tasks under way at any time. */
async function throughput(device: RawDevice): Promise<void> {
  let next = 0;
  let results = 0;
  const one = async (): Promise<void> => {
    while (next < TASKS) {
      const name = `many${next++}`;
      await device.request({ task: name });
      await device.reply("result", (reply) => reply.task === name);
      results++;
    }
  };
  const start = performance.now();
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: CONCURRENCY }, one));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  if (results !== TASKS) throw new Error(`${results} results of ${TASKS} tasks`);
  const cpuMs = (user + system) / 1000 / TASKS;
  process.stdout.write(
    `reasoner throughput, one worker, ${CONCURRENCY} tasks at a time: ${(TASKS / seconds).toFixed(0)} tasks/s, ` +
      `${cpuMs.toFixed(2)} ms of processor time a task for device, worker and endpoint together\n`,
  );
}

describeWithBroker("reasoner", () => {
  let ran: Promise<void> | undefined;
  const once = () => {
    ran ??= (async () => {
      const { device, close } = await stage();
      try {
        await roundTrips(device);
        await throughput(device);
      } finally {
        await close();
      }
    })();
    return ran;
  };
  describe("device, broker and worker", () => {
    // vitest only names it: the times that matter are taken inside.
    bench("tasks", once, { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0 });
  });
});
