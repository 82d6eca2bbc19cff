import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { InProcessBroker } from "../../../src/reasoner/link/in-process.ts";
import type { Link, LinkOptions } from "../../../src/reasoner/link/link.ts";
import { MqttLink } from "../../../src/reasoner/link/mqtt-link.ts";
import type { Presence } from "../../../src/reasoner/protocol/messages.ts";
import { type Address, requestsFilter, topicOf } from "../../../src/reasoner/protocol/topics.ts";
import { encodeMessage, type WireMessage } from "../../../src/reasoner/protocol/wire.ts";
import { FaultyProxy } from "../parts/faulty-proxy.ts";
import { Inbox } from "../parts/inbox.ts";
import { type Access, describeWithBroker, Mosquitto } from "../parts/mosquitto.ts";

/** A way to reach the other side, and to lose it. */
interface Transport {
  start(): Promise<void>;
  stop(): Promise<void>;
  link(username: string, options: LinkOptions): Promise<{ link: Link; cut(): void; mend(): void }>;
}

class InProcess implements Transport {
  #broker = new InProcessBroker();

  async start(): Promise<void> {
    this.#broker = new InProcessBroker();
  }

  async stop(): Promise<void> {}

  async link(_: string, options: LinkOptions) {
    const link = this.#broker.link(options);
    return { link, cut: () => link.cut(), mend: () => link.mend() };
  }
}

/** Through a proxy of its own for each link. */
class Mqtt implements Transport {
  readonly #access: (broker: Mosquitto, username: string) => { access: Access; port: number };
  readonly #proxies: FaultyProxy[] = [];
  #broker: Mosquitto | null = null;

  constructor(access: (broker: Mosquitto, username: string) => { access: Access; port: number }) {
    this.#access = access;
  }

  async start(): Promise<void> {
    this.#broker = await Mosquitto.start({ devices: ["device-1", "device-2"] });
  }

  async stop(): Promise<void> {
    for (const proxy of this.#proxies) await proxy.stop();
    await this.#broker?.stop();
  }

  async link(username: string, options: LinkOptions) {
    const { access, port } = this.#access(this.#broker!, username);
    const proxy = await FaultyProxy.start(port);
    this.#proxies.push(proxy);
    const url = access.url.replace(/\d+$/, String(proxy.port));
    const link = new MqttLink({ ...access, ...options, url, reconnectMs: { first: 20, max: 100 } });
    return { link, cut: () => proxy.refuse(), mend: () => proxy.accept() };
  }
}

const DEVICE: LinkOptions = { clientId: "device-1", sessionExpirySeconds: 60, receiveMaximum: 20 };
const replies = topicOf({ channel: "replies", device: "device-1" });

function plain(topic: string, text: string, more: Partial<WireMessage> = {}): WireMessage {
  return { topic, payload: Buffer.from(text), qos: 1, retain: false, properties: {}, ...more };
}

function request(device: string, task: string): WireMessage {
  return encodeMessage(
    { channel: "requests", device },
    {
      v: 1,
      kind: "request",
      task,
      attempt: 1,
      text: "why",
      deadlineMs: 30_000,
      context: { v: 1, elapsedMs: 0, transcript: [], counts: [], devices: [], stills: [] },
      followUps: [],
    },
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  );
}

function presence(address: Extract<Address, { channel: "worker-presence" }>) {
  const of = (state: Presence["state"]) => encodeMessage(address, { v: 1, kind: "presence", state });
  return { online: of("online"), offline: of("offline") };
}

function contract(transport: Transport): void {
  const links: Link[] = [];
  let serial = 0;

  beforeAll(() => transport.start());
  afterEach(async () => {
    for (const link of links.splice(0)) await link.close();
  });
  afterAll(() => transport.stop());

  /** An open link that is up, with its inbox. */
  async function joined(
    username: string,
    options: Partial<LinkOptions> = {},
    { filters = [], acknowledge = true }: { filters?: string[]; acknowledge?: boolean } = {},
  ) {
    const own = { ...DEVICE, clientId: `${username}-${serial++}`, sessionExpirySeconds: 0, ...options };
    const line = await transport.link(username, own);
    links.push(line.link);
    for (const filter of filters) await line.link.subscribe(filter);
    const inbox = new Inbox(line.link, acknowledge);
    await inbox.state("up");
    return { ...line, inbox };
  }

  test("a message arrives with every property, and messages in order", async () => {
    const worker = await joined("worker", {}, { filters: [requestsFilter("order")] });
    const device = await joined("device-1");
    const sent = Array.from({ length: 100 }, (_, i) => request("device-1", `task-${i}`));
    const outcomes = await Promise.all(sent.map((message) => device.link.publish(message)));
    expect(outcomes.every((outcome) => outcome.matched)).toBe(true);
    const got = await worker.inbox.messages(100);
    expect(got.map(({ topic }) => topic)).toEqual(sent.map(({ topic }) => topic));
    expect(worker.inbox.texts).toEqual(sent.map(({ payload }) => Buffer.from(payload).toString()));
    for (const [i, { properties, retained, redelivered }] of got.entries()) {
      const { correlationData, ...others } = properties;
      const { correlationData: expected, expirySeconds, ...rest } = sent[i]!.properties;
      expect(Buffer.from(correlationData!)).toEqual(Buffer.from(expected!));
      expect(others).toMatchObject(rest);
      expect(others.expirySeconds).toBeGreaterThan(expirySeconds! - 20);
      expect([retained, redelivered]).toEqual([false, false]);
    }
  });

  test("the publisher learns that nobody is subscribed", async () => {
    const device = await joined("device-1");
    expect(await device.link.publish(request("device-1", "task-1"))).toEqual({ matched: false });
  });

  test("a group shares requests: each goes to one member, and every member has some", async () => {
    const workers = await Promise.all(
      [1, 2, 3].map(() => joined("worker", {}, { filters: [requestsFilter("share")] })),
    );
    const device = await joined("device-1");
    const sent = Array.from({ length: 30 }, (_, i) => request("device-1", `task-${i}`));
    for (const message of sent) await device.link.publish(message);
    while (workers.reduce((sum, { inbox }) => sum + inbox.deliveries.length, 0) < 30) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const all = workers.flatMap(({ inbox }) => inbox.texts);
    expect(all.sort()).toEqual(sent.map(({ payload }) => Buffer.from(payload).toString()).sort());
    for (const { inbox } of workers) expect(inbox.deliveries.length).toBeGreaterThan(0);
  });

  test("presence is retained, follows a cut and a reconnect, and ends with close", async () => {
    const id = `worker-${transport.constructor.name}-presence`;
    const address = { channel: "worker-presence", worker: id } as const;
    const worker = await joined("worker", { clientId: id, presence: presence(address) });
    const device = await joined("device-1", {}, { filters: [topicOf(address)] });
    const states = () =>
      device.inbox.deliveries.map(
        ({ payload, retained }) => `${JSON.parse(Buffer.from(payload).toString()).state} ${retained}`,
      );
    await device.inbox.messages(1);
    worker.cut();
    await device.inbox.messages(2);
    worker.mend();
    await device.inbox.messages(3);
    await worker.link.close();
    await device.inbox.messages(4);
    expect(states()).toEqual(["online true", "offline false", "online false", "offline false"]);
  });

  test("what a session misses comes when it is back, with the expiry that is left; what has expired does not", async () => {
    const device = await joined("device-1", { sessionExpirySeconds: 60 }, { filters: [replies] });
    const worker = await joined("worker");
    device.cut();
    await device.inbox.state("down");
    await worker.link.publish(plain(replies, "lasting", { properties: { expirySeconds: 60 } }));
    await worker.link.publish(plain(replies, "fleeting", { properties: { expirySeconds: 1 } }));
    await worker.link.publish(plain(replies, "second", { properties: { expirySeconds: 60 } }));
    await new Promise((resolve) => setTimeout(resolve, 2500));
    device.mend();
    const got = await device.inbox.messages(2);
    expect(device.inbox.texts).toEqual(["lasting", "second"]);
    for (const { properties } of got) {
      expect(properties.expirySeconds).toBeLessThanOrEqual(58);
      expect(properties.expirySeconds).toBeGreaterThan(30);
    }
  });

  test("held acknowledgements stop the broker at the receive maximum, and are given in any order", async () => {
    const held = { filters: [replies], acknowledge: false };
    const device = await joined("device-1", { receiveMaximum: 3 }, held);
    const worker = await joined("worker");
    for (let i = 0; i < 6; i++) await worker.link.publish(plain(replies, String(i)));
    await device.inbox.messages(3);
    // Another client's round trip later a fourth would be here, if it came.
    await worker.link.publish(plain(replies, "6"));
    expect(device.inbox.texts).toEqual(["0", "1", "2"]);
    device.inbox.deliveries[1]!.acknowledge();
    device.inbox.deliveries[1]!.acknowledge();
    await device.inbox.messages(4);
    for (let i = 0; i < 7; i++) {
      await device.inbox.messages(i + 1);
      device.inbox.deliveries[i]!.acknowledge();
    }
    expect(device.inbox.texts).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
  });

  test("a resumed session gets again what was not acknowledged, and only that", async () => {
    const held = { filters: [replies], acknowledge: false };
    const device = await joined("device-1", { sessionExpirySeconds: 60 }, held);
    const worker = await joined("worker");
    for (const text of ["a", "b", "c"]) await worker.link.publish(plain(replies, text));
    const before = [...(await device.inbox.messages(3))];
    before[1]!.acknowledge();
    // The broker has the acknowledgement when a later publish of the same link is answered.
    await device.link.publish(request("device-1", "task-1"));
    device.cut();
    await device.inbox.state("down");
    device.mend();
    await device.inbox.messages(5);
    expect(device.inbox.texts.slice(3)).toEqual(["a", "c"]);
    expect(device.inbox.deliveries.slice(3).map(({ redelivered }) => redelivered)).toEqual([true, true]);
    // An acknowledgement of the earlier connection is void: it must not hit a message of this one.
    before[0]!.acknowledge();
    for (const delivery of device.inbox.deliveries.slice(3)) delivery.acknowledge();
    await worker.link.publish(plain(replies, "d"));
    await device.inbox.messages(6);
    expect(device.inbox.texts[5]).toBe("d");
  });

  test("subscriptions are made anew after a cut, also without a session, before the link is up", async () => {
    const device = await joined("device-1", { sessionExpirySeconds: 0 }, { filters: [replies] });
    const worker = await joined("worker");
    device.cut();
    await device.inbox.state("down");
    device.mend();
    await device.inbox.state("up");
    await worker.link.publish(plain(replies, "hello"));
    await device.inbox.messages(1);
    expect(device.inbox.texts).toEqual(["hello"]);
  });

  test("a subscription made while the link is down stands when it is up; an ended one brings nothing", async () => {
    const device = await joined("device-1");
    const worker = await joined("worker");
    device.cut();
    await device.inbox.state("down");
    await device.link.subscribe(replies);
    device.mend();
    await device.inbox.state("up");
    await worker.link.publish(plain(replies, "heard"));
    await device.inbox.messages(1);
    await device.link.unsubscribe(replies);
    await worker.link.publish(plain(replies, "unheard"));
    await device.link.subscribe(replies);
    await worker.link.publish(plain(replies, "heard again"));
    await device.inbox.messages(2);
    expect(device.inbox.texts).toEqual(["heard", "heard again"]);
  });

  test("publishing fails at once while the link is down or closed", async () => {
    const line = await transport.link("device-1", { ...DEVICE, clientId: "device-1-unopened" });
    links.push(line.link);
    const down = { code: "link-down" };
    await expect(line.link.publish(plain(replies, "x"))).rejects.toMatchObject(down);
    const device = await joined("device-1");
    device.cut();
    await device.inbox.state("down");
    await expect(device.link.publish(plain(replies, "x"))).rejects.toMatchObject(down);
    await device.link.close();
    await expect(device.link.publish(plain(replies, "x"))).rejects.toMatchObject(down);
    await expect(device.link.subscribe(replies)).rejects.toMatchObject(down);
    expect(() => new Inbox(device.link)).toThrow("opened before");
    expect(device.inbox.states.map(({ state }) => state)).toEqual(["up", "down", "closed"]);
  });

  test("the largest payload passes whole", async () => {
    const worker = await joined("worker", {}, { filters: [requestsFilter("large")] });
    const device = await joined("device-1");
    const payload = Buffer.alloc(1_048_576, "0123456789abcdef");
    await device.link.publish({ ...request("device-1", "task-1"), payload });
    const [got] = await worker.inbox.messages(1);
    expect(Buffer.from(got!.payload).equals(payload)).toBe(true);
  });
}

describe("links", () => {
  describe("in one process", () => contract(new InProcess()));
  describeWithBroker("over TCP", () => {
    contract(new Mqtt((broker, name) => ({ access: broker.tcp(name), port: broker.ports.tcp })));
  });
  describeWithBroker("over TLS", () => {
    contract(new Mqtt((broker, name) => ({ access: broker.tls(name), port: broker.ports.tls })));
  });
});
