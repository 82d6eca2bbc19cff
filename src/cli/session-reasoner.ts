import { homedir } from "node:os";
import { join } from "node:path";
import { encodeStill } from "../../devices/camera/still.ts";
import type { Profile } from "../config/profile.ts";
import type { ReasonerProfile } from "../config/reasoner.ts";
import type { Source } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { type Log, stderrLog } from "../core/log.ts";
import { ReasonerClient } from "../reasoner/device/client.ts";
import { InProcessBroker } from "../reasoner/link/in-process.ts";
import type { Link, LinkOptions } from "../reasoner/link/link.ts";
import { Outbox } from "../reasoner/outbox/outbox.ts";
import { encodeMessage } from "../reasoner/protocol/wire.ts";
import { StatusLink } from "../reasoner/status/status-link.ts";
import { Delegation } from "../runtime/delegation.ts";
import type { SessionObserver } from "../runtime/events.ts";
import { pemFile } from "./files.ts";
import { SessionStatus } from "./session-status.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The broker keeps what comes for a device that is away this long, s. */
const SESSION_SECONDS = 3600;
/** At most 200 messages a second reach a device by the QoS that nobody has to acknowledge, ms. */
const QOS0_PAUSE_MS = 5;
/** Replies that the broker sends before the first of them is taken. */
const RECEIVE_MAXIMUM = 64;
/** The worker of a single machine: as `microturn reasoner` by default, with fewer hands. */
const LOCAL_WORKER = { group: "reasoners", concurrency: 4, leaseMs: 15_000, deltaIntervalMs: 250 } as const;

/** What a session with a reasoner is put together from. */
export interface SessionReasoner {
  source: Source;
  delegation: Delegation;
  /** What watches the session for it, the delegation included. */
  observers: readonly SessionObserver[];
  /** Leaves the link in good order; tasks that are open wait on disk for the next session. */
  close(): Promise<void>;
}

/**
 * The reasoner that a profile names, or null.
 * @throws RuntimeError "invalid-configuration" for what cannot be; "output-failed" if the outbox cannot be opened.
 */
export async function openReasoner(
  profile: Profile,
  log: Log = stderrLog,
  environment: Environment = process.env,
): Promise<SessionReasoner | null> {
  const { reasoner } = profile;
  if (reasoner.link === "none") return null;
  if (profile.clock === "virtual") {
    throw unusable("clock", "a reasoner takes real time", "Say clock: real, or reasoner.link: none");
  }
  const device = deviceName(reasoner, environment);
  if (reasoner.homeAssistant && reasoner.link === "in-process") {
    throw unusable("homeAssistant", "wants a broker", "Give the broker's address in reasoner.link");
  }
  const presence = (state: "online" | "offline") =>
    encodeMessage({ channel: "device-presence", device }, { v: 1, kind: "presence", state });
  const linkOptions: LinkOptions = {
    clientId: device,
    sessionExpirySeconds: SESSION_SECONDS,
    receiveMaximum: RECEIVE_MAXIMUM,
    presence: { online: presence("online"), offline: presence("offline") },
  };
  const outbox = await openOutbox(reasoner, device, environment);
  const opened = await openLink(reasoner, linkOptions, environment).catch(async (fault: unknown) => {
    await outbox.close();
    throw fault;
  });
  const { close } = opened;
  const status = reasoner.homeAssistant ? new StatusLink(opened.link, { device, name: device }) : null;
  const link = status ?? opened.link;
  const client = new ReasonerClient({
    device,
    link,
    outbox,
    deadlineMs: Math.round(reasoner.deadlineSeconds * 1000),
    staleMs: reasoner.staleSeconds * 1000,
    log,
    ...(reasoner.share.stills ? { encodeStill } : {}),
  });
  const delegation = new Delegation(client, reasoner.share);
  return {
    source: client.source,
    delegation,
    observers: status ? [delegation, new SessionStatus(status)] : [delegation],
    async close() {
      await client.close();
      await close();
    },
  };
}

function deviceName({ device, link }: ReasonerProfile, environment: Environment): string {
  const user = environment.MICROTURN_BROKER_USER?.trim();
  if (link === "in-process") return device ?? "device";
  // Access control at the broker goes by the user name: under another name nothing would ever arrive.
  if (device !== undefined && user && user !== device) {
    throw unusable("device", "is not MICROTURN_BROKER_USER", "Give one of the two, or the same in both");
  }
  const name = device ?? user;
  if (!name) throw unusable("device", "is missing", "Give reasoner.device or MICROTURN_BROKER_USER");
  return name;
}

interface OpenedLink {
  link: Link;
  /** Ends what stands behind the link. */
  close(): Promise<void>;
}

async function openLink(
  reasoner: ReasonerProfile,
  options: LinkOptions,
  environment: Environment,
): Promise<OpenedLink> {
  if (reasoner.link === "in-process") return await localWorker(options, environment);
  const [ca, certificate, key] = await Promise.all(
    (["ca", "certificate", "key"] as const).map((name) => pemFile(`reasoner.${name}`, reasoner[name])),
  );
  const password = environment.MICROTURN_BROKER_PASSWORD?.trim();
  // Only here: the client's package takes a while to load.
  const { MqttLink } = await import("../reasoner/link/mqtt-link.ts");
  const link = new MqttLink({
    ...options,
    url: reasoner.link,
    qos0PauseMs: QOS0_PAUSE_MS,
    ...(certificate === undefined || password ? { username: options.clientId } : {}),
    ...(password && { password }),
    ...(ca && { ca }),
    ...(certificate && { certificate }),
    ...(key && { key }),
  });
  return { link, close: async () => {} };
}

/** A worker in this process, with the endpoint that the environment names. */
async function localWorker(options: LinkOptions, environment: Environment): Promise<OpenedLink> {
  const [{ endpointConfig }, { HttpEndpoint }, { ReasonerWorker }, { WorkerMetrics }, { workerLinkOptions }] =
    await Promise.all([
      import("../reasoner/endpoint/environment.ts"),
      import("../reasoner/endpoint/http-endpoint.ts"),
      import("../reasoner/worker/worker.ts"),
      import("../reasoner/worker/metrics.ts"),
      import("../reasoner/worker/worker-link.ts"),
    ]);
  const endpoint = new HttpEndpoint(endpointConfig(environment));
  const broker = new InProcessBroker();
  const id = "local";
  const link = broker.link(workerLinkOptions({ id, concurrency: LOCAL_WORKER.concurrency }));
  const metrics = new WorkerMetrics({ process: false });
  const worker = new ReasonerWorker({ ...LOCAL_WORKER, id, link, endpoint, metrics });
  worker.start();
  return { link: broker.link(options), close: () => worker.drain(0) };
}

async function openOutbox(
  { outbox }: ReasonerProfile,
  device: string,
  environment: Environment,
): Promise<Outbox> {
  const state = environment.XDG_STATE_HOME || join(homedir(), ".local", "state");
  return await Outbox.open({
    folder: outbox.folder ?? join(state, "microturn", "outbox", device),
    maxBytes: Math.round(outbox.maxMegabytes * 1e6),
    maxAgeMs: outbox.maxAgeSeconds * 1000,
    fsync: outbox.fsync,
  });
}

function unusable(key: string, problem: string, remedy: string): RuntimeError {
  return new RuntimeError("invalid-configuration", { part: `reasoner.${key}`, problem, remedy });
}
