import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Link } from "../../../src/reasoner/link/link.ts";
import { MqttLink } from "../../../src/reasoner/link/mqtt-link.ts";
import { type MqttLinkOptions, reconnectDelayMs } from "../../../src/reasoner/link/mqtt-options.ts";
import { topicOf } from "../../../src/reasoner/protocol/topics.ts";
import type { WireMessage } from "../../../src/reasoner/protocol/wire.ts";
import { FaultyProxy } from "../parts/faulty-proxy.ts";
import { Inbox } from "../parts/inbox.ts";
import { describeWithBroker, Mosquitto } from "../parts/mosquitto.ts";

const replies = topicOf({ channel: "replies", device: "device-1" });
const state = topicOf({ channel: "device-state", device: "device-1" });

function plain(topic: string, text: string, qos: 0 | 1 = 1): WireMessage {
  return { topic, payload: Buffer.from(text), qos, retain: false, properties: {} };
}

test("an address that is not MQTT's, or holds a password, is refused", () => {
  const options = { clientId: "a", sessionExpirySeconds: 0, receiveMaximum: 10 };
  for (const url of ["broker.example", "http://broker.example", "mqtts://me:secret@broker.example"]) {
    expect(() => new MqttLink({ ...options, url })).toThrow(
      expect.objectContaining({
        code: "invalid-configuration",
        message: expect.not.stringContaining("secret"),
      }),
    );
  }
  expect(new MqttLink({ ...options, url: "mqtts://broker.example:8884" }).name).toBe(
    "mqtts://broker.example:8884",
  );
});

describeWithBroker("the MQTT link", () => {
  const links: Link[] = [];
  let broker: Mosquitto;
  let proxy: FaultyProxy;
  let serial = 0;

  beforeAll(async () => {
    broker = await Mosquitto.start({ devices: ["device-1"] });
  });
  afterAll(() => broker.stop());
  beforeEach(async () => {
    proxy = await FaultyProxy.start(broker.ports.tls);
  });
  afterEach(async () => {
    proxy.heal();
    for (const link of links.splice(0)) await link.close();
    await proxy.stop();
  });

  function link(options: Partial<MqttLinkOptions> = {}): MqttLink {
    const made = new MqttLink({
      ...broker.tls("device-1", proxy.port),
      clientId: `link-${serial++}`,
      sessionExpirySeconds: 0,
      receiveMaximum: 20,
      reconnectMs: { first: 20, max: 100 },
      ...options,
    });
    links.push(made);
    return made;
  }

  async function opened(options: Partial<MqttLinkOptions> = {}, filters: string[] = []) {
    const made = link(options);
    for (const filter of filters) await made.subscribe(filter);
    const inbox = new Inbox(made);
    await inbox.state("up");
    return { link: made, inbox };
  }

  test("a broker that is restarted, or killed, is found again", async () => {
    const { link: device, inbox } = await opened({}, [replies]);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await broker.down(signal);
      await inbox.state("down");
      await broker.up();
      await inbox.state("up");
    }
    expect(await device.publish(plain(state, "back"))).toEqual({ matched: false });
    expect(inbox.states.map((change) => change.state)).toEqual(["up", "down", "up", "down", "up"]);
  });

  test("a publish that is under way when the link is cut is sent again and resolves", async () => {
    const worker = await opened({ ...broker.tls("worker") });
    const device = await opened({}, []);
    await worker.link.subscribe(topicOf({ channel: "requests", device: "device-1" }));
    proxy.set({ delayMs: 10_000 });
    const sent = device.link.publish(plain(topicOf({ channel: "requests", device: "device-1" }), "kept"));
    proxy.heal();
    proxy.cut();
    await expect(sent).resolves.toEqual({ matched: true });
    await worker.inbox.messages(1);
    expect(worker.inbox.texts[0]).toBe("kept");
  });

  test("a publish without an answer is given up in time, and is never sent afterwards", async () => {
    const requests = topicOf({ channel: "requests", device: "device-1" });
    const worker = await opened({ ...broker.tls("worker") }, [requests]);
    const device = await opened({ timeoutMs: 300 });
    proxy.halfOpen();
    await expect(device.link.publish(plain(requests, "given up"))).rejects.toMatchObject({
      code: "link-timeout",
    });
    proxy.cut();
    await device.inbox.state("down");
    await device.inbox.state("up");
    await device.link.publish(plain(requests, "next"));
    await worker.inbox.messages(1);
    expect(worker.inbox.texts).toEqual(["next"]);
  });

  test("a connection that is half open is noticed by its silence", async () => {
    const { inbox } = await opened({ keepaliveSeconds: 1 });
    proxy.halfOpen();
    await inbox.state("down");
    await inbox.state("up");
    expect(proxy.connections).toBe(2);
  });

  test("a bounded number of publishes waits for a slow network; the rest is refused; all are settled", async () => {
    const { link: device, inbox } = await opened();
    proxy.set({ bytesPerSecond: 1000 });
    const payload = "x".repeat(10_000);
    const outcomes = Array.from({ length: 1000 }, () =>
      device.publish(plain(state, payload)).then(
        () => "sent",
        (fault) => fault.code as string,
      ),
    );
    proxy.refuse();
    await inbox.state("down");
    await device.close();
    const counts = new Map<string, number>();
    for (const outcome of await Promise.all(outcomes)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    // 16 in flight and 256 waiting when the link went down.
    expect(Object.fromEntries(counts)).toEqual({ "link-busy": 728, "link-down": 272 });
  });

  test("nothing piles up while the broker is away", async () => {
    const { link: device, inbox } = await opened();
    proxy.refuse();
    await inbox.state("down");
    const before = process.memoryUsage().arrayBuffers;
    const payload = Buffer.alloc(100_000);
    for (let i = 0; i < 1000; i++) {
      await device.publish({ ...plain(state, ""), payload }).catch(() => {});
    }
    // A hundred megabytes, had they been kept.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
  });

  test("what the broker will never take is refused, with the link still up", async () => {
    const { link: device } = await opened();
    const large = { ...plain(state, ""), payload: Buffer.alloc(1_400_000) };
    await expect(device.publish(large)).rejects.toMatchObject({ code: "link-refused" });
    await expect(device.publish(plain(replies, "not mine to say"))).rejects.toMatchObject({
      code: "link-refused",
      message: expect.stringContaining("Not authorized"),
    });
    await expect(device.publish(plain(state, "mine"))).resolves.toBeDefined();
  });

  test.each([
    ["a wrong password", { password: "wrong" }, /not authorized/i],
    ["no credentials", { username: undefined, password: undefined }, /not authorized/i],
    ["an authority that did not sign the broker", { ca: undefined }, /certificate/i],
  ])("with %s the link stays down, tries again and says why", async (_, options, why) => {
    const { username, password, ca, ...rest } = { ...broker.tls("device-1", proxy.port), ...options };
    const made = new MqttLink({
      ...rest,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(ca !== undefined && { ca }),
      clientId: "stranger",
      sessionExpirySeconds: 0,
      receiveMaximum: 20,
      reconnectMs: { first: 20, max: 100 },
    });
    links.push(made);
    const inbox = new Inbox(made);
    while (proxy.connections < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(made.state).toBe("down");
    expect(inbox.states).toEqual([]);
    // Told once, not with every attempt.
    expect(inbox.faults).toEqual([expect.stringMatching(why)]);
  });

  test("closing at any moment of connecting leaves no connection behind", async () => {
    // A handshake of several round trips: the moments fall into every stage of it.
    proxy.set({ delayMs: 20 });
    for (let waitMs = 0; waitMs < 200; waitMs += 10) {
      const made = link();
      await made.subscribe(replies);
      new Inbox(made);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await made.close();
    }
    proxy.heal();
    // The end of a connection takes the proxy's delay to arrive; one that is left stays for good.
    while (proxy.open > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("closing is quick while the broker is away, half-open, or was never there", async () => {
    const { link: cut, inbox } = await opened();
    proxy.refuse();
    await inbox.state("down");
    await cut.close();
    proxy.heal();
    const { link: stuck } = await opened({ timeoutMs: 300 });
    proxy.halfOpen();
    await stuck.close();
    const never = link({ url: "mqtt://127.0.0.1:1" });
    new Inbox(never);
    await never.close();
    expect([cut.state, stuck.state, never.state]).toEqual(["closed", "closed", "closed"]);
  });
});

describe("reconnecting", () => {
  test("waits longer each time, never the same, and no longer than the bound", () => {
    const bounds = { first: 500, max: 30_000 };
    const low = [0, 1, 2, 3, 8, 30].map((failures) => reconnectDelayMs(bounds, failures, () => 0));
    const high = [0, 1, 2, 3, 8, 30].map((failures) => reconnectDelayMs(bounds, failures, () => 0.999999));
    expect(low).toEqual([250, 500, 1000, 2000, 15_000, 15_000]);
    expect(high).toEqual([500, 1000, 2000, 4000, 30_000, 30_000]);
  });
});
