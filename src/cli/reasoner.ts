import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { type LogLevel, stderrLog } from "../core/log.ts";
import { HealthServer } from "../observe/health-server.ts";
import { endpointConfig, isLoopback, keyTravelsInClear } from "../reasoner/endpoint/environment.ts";
import { HttpEndpoint } from "../reasoner/endpoint/http-endpoint.ts";
import { MqttLink } from "../reasoner/link/mqtt-link.ts";
import type { MqttLinkOptions } from "../reasoner/link/mqtt-options.ts";
import { LIMITS } from "../reasoner/protocol/limits.ts";
import { isId } from "../reasoner/protocol/topics.ts";
import { WorkerMetrics } from "../reasoner/worker/metrics.ts";
import { ReasonerWorker, type WorkerEvent } from "../reasoner/worker/worker.ts";
import { workerLinkOptions } from "../reasoner/worker/worker-link.ts";
import { type Invocation, type Io, numberOption, type OptionValues, stringOption } from "./command.ts";
import { pemFile } from "./files.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULTS = { group: "reasoners", concurrency: 8, leaseSeconds: 15, drainSeconds: 30 } as const;
/** Often enough for text that is read or spoken as it comes; a person reads 20 characters in a second. */
const DELTA_INTERVAL_MS = 250;
/** `microturn reasoner`: runs a worker until it is told to stop. */
export async function reasoner(
  { values, io }: Invocation,
  environment: Environment = process.env,
): Promise<number> {
  const config = endpointConfig(environment);
  const group = stringOption(values, "group") ?? DEFAULTS.group;
  if (!isId(group)) throw unusable("--group", "holds other characters than letters, digits, - and _");
  const concurrency =
    numberOption(values, "concurrency", { min: 1, max: 1000, integer: true }) ?? DEFAULTS.concurrency;
  const lease = { min: LIMITS.leaseMs.min / 1000, max: LIMITS.leaseMs.max / 1000 };
  const leaseSeconds = numberOption(values, "lease", lease) ?? DEFAULTS.leaseSeconds;
  const drainSeconds = numberOption(values, "drain", { min: 0 }) ?? DEFAULTS.drainSeconds;
  const port = numberOption(values, "health-port", { min: 0, max: 65_535, integer: true });
  const broker = await brokerOptions(values, environment);
  const id = newWorkerId();
  const link = new MqttLink({ ...workerLinkOptions({ id, concurrency }), ...broker });
  const tell = narrator(io, values.json === true);
  warnOfClearText(config, broker);

  const metrics = new WorkerMetrics({ process: true });
  const endpoint = new HttpEndpoint(config);
  const worker = new ReasonerWorker({
    id,
    group,
    link,
    endpoint,
    concurrency,
    leaseMs: leaseSeconds * 1000,
    deltaIntervalMs: DELTA_INTERVAL_MS,
    metrics,
    onEvent: tell,
  });
  const health =
    port === undefined
      ? null
      : await HealthServer.start({ port, registry: metrics.registry, unready: () => worker.unready() });
  tell({
    kind: "started",
    worker: id,
    broker: link.name,
    endpoint: endpoint.name,
    healthPort: health?.port ?? null,
  });
  worker.start();

  await aborted(io.signal);
  tell({ kind: "stopping", running: worker.running });
  await worker.drain(drainSeconds * 1000);
  await health?.close();
  tell({ kind: "end", tasks: await tally(metrics) });
  return EXIT.ok;
}

/** Tells this process from any other, and an operator which machine it is on. */
function newWorkerId(): string {
  const machine = hostname()
    .replace(/[^A-Za-z0-9_-]/g, "-")
    .slice(0, LIMITS.idChars - 9);
  return `${machine}-${randomBytes(4).toString("hex")}`;
}

type BrokerOptions = Pick<MqttLinkOptions, "url" | "username" | "password" | "ca" | "certificate" | "key">;

async function brokerOptions(values: OptionValues, environment: Environment): Promise<BrokerOptions> {
  const url = stringOption(values, "broker");
  if (url === undefined) {
    throw new RuntimeError("invalid-argument", {
      part: "reasoner",
      problem: "--broker is missing",
      remedy: "See microturn reasoner --help",
    });
  }
  const [ca, certificate, key] = await Promise.all(
    ["ca", "cert", "key"].map((name) => pemFile(`--${name}`, stringOption(values, name))),
  );
  if ((certificate === undefined) !== (key === undefined)) throw unusable("--cert", "and --key go together");
  const username = environment.MICROTURN_BROKER_USER?.trim();
  const password = environment.MICROTURN_BROKER_PASSWORD?.trim();
  return {
    url,
    ...(username && { username }),
    ...(password && { password }),
    ...(ca && { ca }),
    ...(certificate && { certificate }),
    ...(key && { key }),
  };
}

function unusable(part: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-configuration", { part, problem });
}

function warnOfClearText(config: ReturnType<typeof endpointConfig>, { url, password }: BrokerOptions): void {
  if (keyTravelsInClear(config)) {
    stderrLog.write("warning", "reasoner", "the API key and every task travel unencrypted: use https");
  }
  const { protocol, hostname: host } = new URL(url);
  if (protocol === "mqtt:" && password !== undefined && !isLoopback(host)) {
    stderrLog.write(
      "warning",
      "reasoner",
      "the broker's password and every task travel unencrypted: use mqtts",
    );
  }
}

/** What the command says of itself beside the worker's own events. */
type Event =
  | WorkerEvent
  | { kind: "started"; worker: string; broker: string; endpoint: string; healthPort: number | null }
  | { kind: "stopping"; running: number }
  | { kind: "end"; tasks: Record<string, number> };

function narrator(io: Io, json: boolean): (event: Event) => void {
  if (json) return (event) => io.out(`${JSON.stringify(event)}\n`);
  return (event) => {
    const [level, message] = lineOf(event);
    stderrLog.write(level, "reasoner", message);
  };
}

function lineOf(event: Event): [LogLevel, string] {
  switch (event.kind) {
    case "started": {
      const health = event.healthPort === null ? "" : `; health at http://127.0.0.1:${event.healthPort}`;
      return ["info", `worker ${event.worker}: ${event.endpoint}, tasks from ${event.broker}${health}`];
    }
    case "link":
      return [event.state === "down" ? "warning" : "info", `link ${event.state}: ${event.detail}`];
    case "taken":
      return ["info", `took ${nameOf(event)}`];
    case "declined":
      return ["info", `declined ${nameOf(event)}: ${event.code}`];
    case "ended": {
      const how = event.detail === "" ? event.outcome : `${event.outcome}: ${event.detail}`;
      return [
        event.outcome === "internal" ? "error" : "info",
        `${nameOf(event)} after ${Math.round(event.ms)} ms: ${how}`,
      ];
    }
    case "refused":
      return ["debug", `refused a message: ${event.reason} (${event.detail})`];
    case "retry":
      return ["warning", `the endpoint failed (${event.fault}), again in ${Math.round(event.waitMs)} ms`];
    case "fault":
      return ["warning", event.detail];
    case "stopping":
      return ["info", `draining, ${event.running} tasks under way`];
    case "end":
      return ["info", `stopped; tasks by outcome: ${JSON.stringify(event.tasks)}`];
    default:
      return event satisfies never;
  }
}

function nameOf({ device, task, attempt }: { device: string; task: string; attempt: number }): string {
  return `task ${task} of ${device}, attempt ${attempt}`;
}

async function tally(metrics: WorkerMetrics): Promise<Record<string, number>> {
  const { values } = await metrics.tasks.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
