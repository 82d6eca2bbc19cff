import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RealClock } from "../../src/core/clock.ts";
import type { ReasonerEvent } from "../../src/core/micro-turn.ts";
import { ReasonerClient } from "../../src/reasoner/device/client.ts";
import { MqttLink } from "../../src/reasoner/link/mqtt-link.ts";
import { Outbox } from "../../src/reasoner/outbox/outbox.ts";
import type { Request } from "../../src/reasoner/protocol/messages.ts";
import { ScriptedWorker } from "../reasoner/device/scripted-worker.ts";
import { DEVICE, emptySnapshot, outboxFolder } from "../reasoner/device/session-setup.ts";
import { FaultyProxy } from "../reasoner/parts/faulty-proxy.ts";
import { describeWithBroker, Mosquitto } from "../reasoner/parts/mosquitto.ts";

const flooderPath = fileURLToPath(new URL("../reasoner/device/flooder.ts", import.meta.url));
const RECONNECT = { reconnectMs: { first: 50, max: 200 } };

describeWithBroker("a device on a real broker", () => {
  let broker: Mosquitto;
  let proxy: FaultyProxy;
  let client: ReasonerClient;
  let link: MqttLink;
  let worker: ScriptedWorker;
  let workerLink: MqttLink;
  const told: ReasonerEvent[] = [];
  const ending = new AbortController();
  let flooder: ChildProcess | null = null;

  beforeEach(async () => {
    broker = await Mosquitto.start({ devices: [DEVICE] });
    proxy = await FaultyProxy.start(broker.ports.tcp);
    const access = broker.tcp(DEVICE, proxy.port);
    const session = { clientId: DEVICE, sessionExpirySeconds: 600, receiveMaximum: 64, qos0PauseMs: 5 };
    link = new MqttLink({ ...session, ...RECONNECT, ...access });
    const outbox = await Outbox.open({
      folder: outboxFolder(),
      maxBytes: 1e7,
      maxAgeMs: 1e6,
      fsync: "record",
    });
    const log = { write: () => {} };
    client = new ReasonerClient({ device: DEVICE, link, outbox, deadlineMs: 600_000, staleMs: 1e6, log });
    const clock = new RealClock();
    clock.start();
    told.length = 0;
    void (async () => {
      for await (const item of client.source.open(clock, ending.signal)) {
        if (item.kind === "event" && item.event.kind === "reasoner") told.push(item.event);
      }
    })();
    const options = { clientId: "worker-1", sessionExpirySeconds: 0, receiveMaximum: 64 };
    workerLink = new MqttLink({ ...options, ...RECONNECT, ...broker.tcp("worker") });
    worker = new ScriptedWorker(workerLink, { id: "worker-1", device: DEVICE });
    await worker.open();
    await expect.poll(() => link.state, { timeout: 30_000 }).toBe("up");
  });

  afterEach(async () => {
    flooder?.kill("SIGKILL");
    await client.close();
    await workerLink.close();
    await proxy.stop();
    await broker.stop();
  });

  const results = () => told.filter(({ state }) => state === "result").map(({ text }) => text);

  test("twelve tasks while the link is cut again and again: each is answered once", async () => {
    const answer = async (request: Request) => {
      await worker.accept(request);
      await worker.reply(request, { kind: "progress", text: "on it" });
      await worker.result(request, `answer to ${request.text}`);
    };
    const answering: Promise<void>[] = [];
    worker.onRequest = (request) => answering.push(answer(request));
    for (let i = 0; i < 12; i++) {
      client.delegate(`task ${i}`, emptySnapshot);
      if (i % 3 === 1) proxy.cut();
      if (i % 6 === 2) {
        proxy.refuse();
        setTimeout(() => proxy.accept(), 300);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    proxy.accept();
    await expect.poll(() => results().length, { timeout: 50_000 }).toBe(12);
    await Promise.all(answering);
    expect(results().toSorted()).toEqual(
      Array.from({ length: 12 }, (_, i) => `answer to task ${i}`).toSorted(),
    );
    expect(client.counts).toMatchObject({ tasks: 12, results: 12, failed: 0, unsaved: 0 });
  });

  test("flooded by a hostile reasoner it looks at few messages, keeps little, and takes up work again", async () => {
    const access = JSON.stringify(broker.tcp("worker"));
    flooder = spawn(process.execPath, ["--import", "tsx", flooderPath, DEVICE, "10000", access], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: flooder.stdout! });
    await once(lines, "line");
    const heapBytes = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
    await expect.poll(() => client.counts.strangers, { timeout: 100_000 }).toBeGreaterThan(20);
    const before = heapBytes();
    const { strangers } = client.counts;
    const beganMs = performance.now();
    await expect.poll(() => client.counts.strangers, { timeout: 100_000 }).toBeGreaterThan(strangers + 200);
    const seconds = (performance.now() - beganMs) / 1000;
    // As many as it allows itself, and what it had saved up.
    expect(client.counts.strangers - strangers).toBeLessThanOrEqual(200 * (seconds + 1));
    expect(heapBytes() - before).toBeLessThan(100e6);
    expect(told).toEqual([]);
    flooder.kill("SIGKILL");
    await once(flooder, "exit");

    client.delegate("is it over?", emptySnapshot);
    const request = await worker.request();
    await worker.accept(request);
    await worker.result(request, "yes");
    await expect.poll(results, { timeout: 50_000 }).toEqual(["yes"]);
  }, 300_000);
});
