import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { Log } from "../../../src/core/log.ts";
import type { InputEvent, ReasonerEvent } from "../../../src/core/micro-turn.ts";
import type { SessionSnapshot } from "../../../src/core/reasoner.ts";
import { ReasonerClient, type ReasonerClientOptions } from "../../../src/reasoner/device/client.ts";
import { InProcessBroker, type InProcessLink } from "../../../src/reasoner/link/in-process.ts";
import { Outbox } from "../../../src/reasoner/outbox/outbox.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

export const DEVICE = "mirror-1";

export const emptySnapshot: SessionSnapshot = {
  elapsedMs: 0,
  transcript: [],
  counts: [],
  devices: [],
  stills: [],
};

/** Lets everything that has been set going come to rest, disk writes included; session time stands still. */
export async function settle(turns = 40): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(setImmediate);
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let i = 0; i < turns; i++) await new Promise(setImmediate);
}

export function outboxFolder(): string {
  return mkdtempSync(join(tmpdir(), "microturn-device-"));
}

/** A client over an in-process broker, in a time that only `pass` moves. */
export class DeviceUnderTest {
  readonly clock = new VirtualClock();
  readonly events: InputEvent[] = [];
  readonly logged: string[] = [];
  client!: ReasonerClient;
  link!: InProcessLink;
  readonly broker: InProcessBroker;
  readonly folder: string;
  readonly #ending = new AbortController();
  #drawn: Promise<void> = Promise.resolve();

  private constructor(broker: InProcessBroker, folder: string) {
    this.broker = broker;
    this.folder = folder;
  }

  static async start(
    changes: Partial<ReasonerClientOptions> = {},
    {
      broker = new InProcessBroker(),
      folder = outboxFolder(),
    }: { broker?: InProcessBroker; folder?: string } = {},
  ): Promise<DeviceUnderTest> {
    const device = new DeviceUnderTest(broker, folder);
    const log: Log = { write: (_level, part, message) => device.logged.push(`${part}: ${message}`) };
    device.link = broker.link({ clientId: DEVICE, sessionExpirySeconds: 3600, receiveMaximum: 64 });
    const outbox = await Outbox.open({ folder, maxBytes: 1_000_000, maxAgeMs: 3_600_000, fsync: "never" });
    const { link } = device;
    const options = { device: DEVICE, link, outbox, deadlineMs: 100_000, staleMs: 5000, log };
    device.client = new ReasonerClient({ ...options, ...changes });
    device.#drawn = device.#draw();
    await settle();
    return device;
  }

  /** What came of tasks: "state text", without the link. */
  get told(): string[] {
    return this.reasonerEvents.map(({ state, text }) => `${state} ${text}`.trim());
  }

  get reasonerEvents(): ReasonerEvent[] {
    return this.events.filter((event) => event.kind === "reasoner");
  }

  async delegate(text: string, snapshot = emptySnapshot): Promise<void> {
    this.client.delegate(text, snapshot);
    await settle();
  }

  async worker(id = "worker-1"): Promise<ScriptedWorker> {
    const link = this.broker.link({ clientId: id, sessionExpirySeconds: 0, receiveMaximum: 64 });
    const worker = new ScriptedWorker(link, { id, device: DEVICE });
    await worker.open();
    await settle();
    return worker;
  }

  /** Lets session time go by, everything that is due on the way included. */
  async pass(ms: number): Promise<void> {
    await settle();
    await this.clock.pass(ms);
    await settle();
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.client.close();
    await this.#drawn;
  }

  async #draw(): Promise<void> {
    for await (const item of this.client.source.open(this.clock, this.#ending.signal)) {
      if (item.kind === "event") this.events.push(item.event);
    }
  }
}
