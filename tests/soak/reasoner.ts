// The reasoner under everything that goes wrong at once: real broker, worker processes, device clients, bad links.
//   npx tsx tests/soak/reasoner.ts --tasks 10000 --devices 20 --workers 3 --restarts 5 --kills 20 --cuts 100
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { RealClock } from "../../src/core/clock.ts";
import type { ReasonerEvent } from "../../src/core/micro-turn.ts";
import { ReasonerClient } from "../../src/reasoner/device/client.ts";
import { MqttLink } from "../../src/reasoner/link/mqtt-link.ts";
import { Outbox } from "../../src/reasoner/outbox/outbox.ts";
import { ScriptedEndpoint } from "../reasoner/endpoint/scripted-endpoint.ts";
import { FaultyProxy } from "../reasoner/parts/faulty-proxy.ts";
import { Mosquitto } from "../reasoner/parts/mosquitto.ts";
import { WorkerProcess } from "../reasoner/worker/worker-process.ts";
import { seededRandom } from "../timeline/random.ts";

export interface SoakPlan {
  tasks: number;
  devices: number;
  workers: number;
  /** Restarts of the broker, every other one by SIGKILL. */
  restarts: number;
  /** Workers killed by SIGKILL. */
  kills: number;
  /** Links of devices and workers that are lost; every tenth half-open. */
  cuts: number;
  seed: number;
}

export interface SoakTally {
  given: number;
  /** Tasks with their own, whole result, and tasks reported as failed. */
  results: number;
  failed: number;
  /** Tasks that nothing final was heard of; final words on a task beyond the first; results of another task. */
  lost: number;
  duplicated: number;
  wrong: number;
  /** Pieces that did not continue what stood before, or came after the result. */
  outOfOrder: number;
  takeovers: number;
  seconds: number;
}

/** Tasks that a device has open at a time. */
const OPEN_TASKS = 6;
const STREAM_HEAD = { "content-type": "text/event-stream" };

/** What the endpoint answers to a task, and what the device must hear. */
function answerTo(task: string): string {
  return `Done with ${task}. ${"It took some thought. ".repeat(5)}That was ${task}.`;
}

/** One device that gives its tasks and writes down what it hears of them. */
class SoakDevice {
  readonly #client: ReasonerClient;
  readonly #abort = new AbortController();
  readonly #open = new Map<string, { partial: string }>();
  readonly #over = new Set<string>();
  readonly #name: string;
  readonly #tally: SoakTally;
  #left: number;
  readonly finished: Promise<void>;

  constructor(
    name: string,
    link: MqttLink,
    outbox: Outbox,
    tasks: number,
    tally: SoakTally,
    onFinal: () => void,
  ) {
    this.#name = name;
    this.#left = tasks;
    this.#tally = tally;
    const quiet = { write: () => {} };
    this.#client = new ReasonerClient({
      device: name,
      link,
      outbox,
      deadlineMs: 1_800_000,
      staleMs: 10_000,
      log: quiet,
    });
    this.finished = this.#live(onFinal);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#tally.takeovers += this.#client.counts.takeovers;
    await this.#client.close();
  }

  async #live(onFinal: () => void): Promise<void> {
    const clock = new RealClock();
    clock.start();
    const source = this.#client.source.open(clock, this.#abort.signal);
    this.#give(0);
    for await (const captured of source) {
      if (captured.kind !== "event" || captured.event.kind !== "reasoner") continue;
      if (!this.#hear(captured.event)) continue;
      onFinal();
      this.#give(clock.nowMs());
      if (this.#left === 0 && this.#open.size === 0) return;
    }
  }

  #give(elapsedMs: number): void {
    while (this.#left > 0 && this.#open.size < OPEN_TASKS) {
      const task = `task ${this.#left--} of ${this.#name}`;
      this.#open.set(task, { partial: "" });
      this.#tally.given++;
      this.#client.delegate(task, { elapsedMs, transcript: [], counts: [], devices: [], stills: [] });
    }
  }

  /** @returns true if it was the first final word on a task. */
  #hear({ about, state, text }: ReasonerEvent): boolean {
    const open = this.#open.get(about);
    if (!open) {
      if (state === "result" || state === "failed") this.#tally.duplicated++;
      else if (state === "partial" || !this.#over.has(about)) this.#tally.outOfOrder++;
      return false;
    }
    // Another attempt begins from the start.
    if (state === "accepted" || state === "waiting") open.partial = "";
    if (state === "partial") {
      open.partial += text;
      if (!answerTo(about).startsWith(open.partial)) this.#tally.outOfOrder++;
    }
    if (state !== "result" && state !== "failed") return false;
    this.#open.delete(about);
    this.#over.add(about);
    if (state === "failed") this.#tally.failed++;
    else if (text === answerTo(about)) this.#tally.results++;
    else this.#tally.wrong++;
    return true;
  }

  get open(): number {
    return this.#open.size + this.#left;
  }
}

/** Runs the plan to its end. @param told hears of what happens, for the impatient. */
export async function soak(plan: SoakPlan, told: (line: string) => void = () => {}): Promise<SoakTally> {
  const beganMs = performance.now();
  const random = seededRandom(plan.seed);
  const folder = mkdtempSync(join(tmpdir(), "microturn-soak-"));
  const names = Array.from({ length: plan.devices }, (_, i) => `device-${i + 1}`);
  const broker = await Mosquitto.start({ devices: names });
  const endpoint = await ScriptedEndpoint.start((request) => answer(request.body.messages, random));
  const proxies: FaultyProxy[] = [];
  const proxied = async (port: number) => {
    const proxy = await FaultyProxy.start(port);
    proxies.push(proxy);
    return proxy.port;
  };
  const tally: SoakTally = {
    ...{ given: 0, results: 0, failed: 0, lost: 0, duplicated: 0, wrong: 0 },
    ...{ outOfOrder: 0, takeovers: 0, seconds: 0 },
  };
  const workerAccess = broker.tcp("worker");
  const startWorker = async () =>
    new WorkerProcess(["--broker", `mqtt://127.0.0.1:${await proxied(broker.ports.tcp)}`, "--lease", "5"], {
      MICROTURN_REASONER_URL: endpoint.baseUrl.href,
      MICROTURN_REASONER_MODEL: "scripted",
      MICROTURN_BROKER_USER: workerAccess.username!,
      MICROTURN_BROKER_PASSWORD: workerAccess.password!,
    });
  const workers = await Promise.all(Array.from({ length: plan.workers }, startWorker));
  const devices: SoakDevice[] = [];
  const trouble = new Trouble(plan, {
    restart: (signal) => broker.restart(signal),
    kill: async () => {
      const place = Math.floor(random() * workers.length);
      workers[place]!.kill("SIGKILL");
      await workers[place]!.exited;
      workers[place] = await startWorker();
    },
    cut: async (halfOpen) => {
      const standing = proxies.filter((proxy) => proxy.open > 0);
      const proxy = standing[Math.floor(random() * standing.length)];
      if (halfOpen) proxy?.halfOpen();
      else proxy?.cut();
    },
    told,
  });
  try {
    for (const [i, name] of names.entries()) {
      const link = new MqttLink({
        ...broker.tls(name, await proxied(broker.ports.tls)),
        clientId: name,
        sessionExpirySeconds: 3600,
        receiveMaximum: 64,
        keepaliveSeconds: 5,
        reconnectMs: { first: 100, max: 2000 },
      });
      const outbox = await Outbox.open({
        folder: join(folder, name),
        maxBytes: 16_000_000,
        maxAgeMs: 86_400_000,
        fsync: "interval",
      });
      const share = Math.floor(plan.tasks / plan.devices) + (i < plan.tasks % plan.devices ? 1 : 0);
      devices.push(new SoakDevice(name, link, outbox, share, tally, () => trouble.taskEnded()));
    }
    await Promise.all(devices.map((device) => device.finished));
    await trouble.over;
    // What is still under way now would be a second answer: let it come.
    await new Promise((resolve) => setTimeout(resolve, 3000));
  } finally {
    tally.lost = devices.reduce((sum, device) => sum + device.open, 0);
    for (const device of devices) await device.close();
    for (const worker of workers) worker.kill("SIGKILL");
    await Promise.all(workers.map((worker) => worker.exited));
    for (const proxy of proxies) await proxy.stop();
    await endpoint.close();
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  tally.seconds = Math.round((performance.now() - beganMs) / 1000);
  return tally;
}

/** Spreads the plan's faults evenly over its tasks: each comes when so many tasks have ended. */
class Trouble {
  /** Resolves when every fault so far has been dealt with. */
  over: Promise<void> = Promise.resolve();
  readonly #due: { atTasks: number; strike: () => Promise<unknown> }[] = [];
  #ended = 0;

  constructor(
    plan: SoakPlan,
    means: {
      restart: (signal: "SIGTERM" | "SIGKILL") => Promise<void>;
      kill: () => Promise<void>;
      cut: (halfOpen: boolean) => Promise<void>;
      told: (line: string) => void;
    },
  ) {
    const spread = (count: number, name: string, strike: (index: number) => Promise<void>) => {
      for (let i = 0; i < count; i++) {
        const atTasks = Math.floor((plan.tasks * (i + 0.5)) / count);
        this.#due.push({
          atTasks,
          strike: () => {
            means.told(`${this.#ended} tasks: ${name} ${i + 1}`);
            return strike(i);
          },
        });
      }
    };
    spread(plan.restarts, "restart", (i) => means.restart(i % 2 === 0 ? "SIGTERM" : "SIGKILL"));
    spread(plan.kills, "kill", () => means.kill());
    spread(plan.cuts, "cut", (i) => means.cut(i % 10 === 9));
    this.#due.sort((a, b) => a.atTasks - b.atTasks);
  }

  taskEnded(): void {
    this.#ended++;
    while (this.#due.length > 0 && this.#due[0]!.atTasks <= this.#ended) {
      const { strike } = this.#due.shift()!;
      // One after the other: a broker that is being restarted cannot be restarted.
      this.over = this.over.then(async () => {
        await strike();
      });
    }
  }
}

/** Streams the answer in pieces, with pauses, so that a fault finds tasks at every stage. */
function answer(messages: readonly { content?: unknown }[], random: () => number) {
  const task = /task \d+ of device-\d+/.exec(JSON.stringify(messages))?.[0] ?? "nothing";
  const words = answerTo(task).split(/(?<= )/);
  const steps = words.flatMap((word) => [
    { send: `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: word } }] })}\n\n` },
    ...(random() < 0.2 ? [{ waitMs: Math.round(random() * 200) }] : []),
  ]);
  const end = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
  return {
    headers: STREAM_HEAD,
    steps: [...steps, { send: `data: ${JSON.stringify(end)}\n\ndata: [DONE]\n\n` }],
  };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      tasks: { type: "string", default: "10000" },
      devices: { type: "string", default: "20" },
      workers: { type: "string", default: "3" },
      restarts: { type: "string", default: "5" },
      kills: { type: "string", default: "20" },
      cuts: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
    },
  });
  const plan = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Number(value)]));
  const tally = await soak(plan as unknown as SoakPlan, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(`${JSON.stringify({ ...plan, ...tally })}\n`);
  process.exitCode =
    tally.lost + tally.duplicated + tally.wrong + tally.outOfOrder + tally.failed > 0 ? 1 : 0;
}
