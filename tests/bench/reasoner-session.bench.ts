import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bench } from "vitest";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { loadNativeModel } from "../../models/native/model.ts";
import { movingPicture, quietRoom } from "../../src/cli/bench-sources.ts";
import { RealClock } from "../../src/core/clock.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { percentile } from "../../src/observe/percentile.ts";
import { ReasonerClient, type ReasonerCounts } from "../../src/reasoner/device/client.ts";
import { MqttLink } from "../../src/reasoner/link/mqtt-link.ts";
import { Outbox } from "../../src/reasoner/outbox/outbox.ts";
import { Delegation } from "../../src/runtime/delegation.ts";
import { Session } from "../../src/runtime/session.ts";
import { FaultyProxy } from "../reasoner/parts/faulty-proxy.ts";
import { describeWithBroker, Mosquitto } from "../reasoner/parts/mosquitto.ts";

const SECONDS = Number(process.env.SECONDS ?? 20);
const ROUNDS = Number(process.env.ROUNDS ?? 2);
const DEVICE = "mirror-1";
const flooderPath = fileURLToPath(new URL("../reasoner/device/flooder.ts", import.meta.url));
const shipped = fileURLToPath(new URL("../../models/native/shipped", import.meta.url));

/** A flood that another device gets loads broker and processor alike: what remains is what ours does with its own. */
const BASELINES = {
  undisturbed: "undisturbed",
  cut: "undisturbed",
  slow: "undisturbed",
  elsewhere: "undisturbed",
  flooded: "elsewhere",
} as const;
const CONDITIONS = ["undisturbed", "cut", "slow", "elsewhere", "flooded"] as const;
type Condition = (typeof CONDITIONS)[number];

interface Measured {
  stepMs: number[];
  late: number;
  counts: ReasonerCounts;
  /** Growth of memory over the session, bytes. */
  grownBytes: number;
}

/** Makes the network what the condition says; returns what ends it. */
async function disturb(condition: Condition, broker: Mosquitto, proxy: FaultyProxy): Promise<() => void> {
  proxy.heal();
  switch (condition) {
    case "undisturbed":
      return () => {};
    case "cut": {
      const timer = setInterval(() => proxy.cut(), 1000);
      return () => clearInterval(timer);
    }
    case "slow":
      proxy.set({ bytesPerSecond: 1000 });
      return () => proxy.heal();
    case "elsewhere":
    case "flooded": {
      const target = condition === "flooded" ? DEVICE : "mirror-2";
      const access = JSON.stringify(broker.tcp("worker"));
      const argv = ["--import", "tsx", flooderPath, target, "10000", access];
      const flooder: ChildProcess = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
      await once(flooder.stdout!, "data");
      flooder.stdout!.on("data", (line: Buffer) => process.stdout.write(`the flooder: ${line}`));
      return () => flooder.kill("SIGTERM");
    }
  }
}

/** A session that delegates a task a second, under a condition. */
async function measure(
  condition: Condition,
  { model, broker, proxy }: { model: InteractionModel; broker: Mosquitto; proxy: FaultyProxy },
): Promise<Measured> {
  const calm = await disturb(condition, broker, proxy);
  const link = new MqttLink({
    clientId: DEVICE,
    sessionExpirySeconds: 0,
    receiveMaximum: 64,
    qos0PauseMs: 5,
    reconnectMs: { first: 50, max: 200 },
    ...broker.tcp(DEVICE, proxy.port),
  });
  const folder = mkdtempSync(join(tmpdir(), "microturn-bench-"));
  const outbox = await Outbox.open({ folder, maxBytes: 16e6, maxAgeMs: 1e6, fsync: "record" });
  const log = { write: () => {} };
  const client = new ReasonerClient({ device: DEVICE, link, outbox, deadlineMs: 5000, staleMs: 10_000, log });
  const delegation = new Delegation(client, { transcript: true, stills: false });
  const stepMs: number[] = [];
  const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
  const delegating = setInterval(
    () => delegation.act({ name: "delegate", args: { text: "a question" } }),
    1000,
  );
  const before = memory();
  const clock = new RealClock();
  const durationMs = 1000 * SECONDS;
  const summary = await new Session({
    clock,
    model,
    sources: [movingPicture(durationMs), quietRoom(durationMs, 16_000), client.source],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [delegation, { step: (record) => stepMs.push(record.stepMs) }],
    actionSinks: [delegation],
    durationMs,
    log,
  }).run();
  const grownBytes = memory() - before;
  clearInterval(delegating);
  calm();
  const { counts } = client;
  await client.close();
  return { stepMs, late: summary.late, counts, grownBytes };
}

function report(results: Map<Condition, Measured[]>): string {
  const median = (condition: Condition) => {
    const all = results.get(condition)!.flatMap(({ stepMs }) => stepMs);
    return percentile(
      all.sort((a, b) => a - b),
      0.5,
    );
  };
  return CONDITIONS.map((condition) => {
    const runs = results.get(condition)!;
    const all = runs.flatMap(({ stepMs }) => stepMs).sort((a, b) => a - b);
    const sum = (of: (run: Measured) => number) => runs.reduce((total, run) => total + of(run), 0);
    return (
      `session with its reasoner ${condition}: step median ${percentile(all, 0.5).toFixed(1)} ms ` +
      `(${(median(condition) / median(BASELINES[condition])).toFixed(2)} of ${BASELINES[condition]}), p99 ${percentile(all, 0.99).toFixed(1)} ms, ` +
      `${sum(({ late }) => late)} of ${all.length} late; ${sum(({ counts }) => counts.strangers)} messages looked at, ` +
      `${sum(({ counts }) => counts.droppedMessages)} dropped; memory ${runs.map(({ grownBytes }) => `${(grownBytes / 1e6).toFixed(1)}`).join(", ")} MB`
    );
  }).join("\n");
}

describeWithBroker("a session whose link to the reasoner is bad", () => {
  let ran: Promise<void> | undefined;
  const once = () => {
    ran ??= (async () => {
      const broker = await Mosquitto.start({ devices: [DEVICE] });
      const proxy = await FaultyProxy.start(broker.ports.tcp);
      const model = await loadNativeModel({ directory: shipped, backend: "cpu" });
      try {
        const results = new Map<Condition, Measured[]>(CONDITIONS.map((condition) => [condition, []]));
        // In turns, so that what else the machine does falls on all alike; the first session warms up.
        await measure("undisturbed", { model, broker, proxy });
        for (let round = 0; round < ROUNDS; round++) {
          for (const condition of CONDITIONS) {
            results.get(condition)!.push(await measure(condition, { model, broker, proxy }));
          }
        }
        process.stdout.write(`${report(results)}\n`);
      } finally {
        await model.close();
        await proxy.stop();
        await broker.stop();
      }
    })();
    return ran;
  };
  bench("step time", once, { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0, throws: true });
});
