import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { MqttLink } from "../../../src/reasoner/link/mqtt-link.ts";
import { addressOf, controlsFilter, requestsFilter } from "../../../src/reasoner/protocol/topics.ts";
import { Inbox } from "../parts/inbox.ts";
import { type Access, describeWithBroker, Mosquitto } from "../parts/mosquitto.ts";

const root = "microturn/v1";

/** What each account may say and hear of these, by the shipped access rules. A letter is an account, see WHO. */
const RULES: readonly { topic: string; write: string; read: string }[] = [
  { topic: `${root}/devices/device-1/requests`, write: "a", read: "w" },
  { topic: `${root}/devices/device-1/replies`, write: "w", read: "a" },
  { topic: `${root}/devices/device-1/presence`, write: "a", read: "d" },
  { topic: `${root}/devices/device-1/state`, write: "a", read: "d" },
  { topic: `${root}/workers/worker-x/controls/device-1`, write: "a", read: "w" },
  { topic: `${root}/workers/worker-x/controls/device-2`, write: "bc", read: "w" },
  { topic: `${root}/workers/worker-x/presence`, write: "w", read: "abcdw" },
  { topic: `${root}/devices/device-2/requests`, write: "bc", read: "w" },
  { topic: `${root}/devices/device-2/replies`, write: "w", read: "bc" },
  { topic: "homeassistant/device/device-1/config", write: "a", read: "d" },
  { topic: `${root}/anything`, write: "", read: "" },
  { topic: "$SYS/broker/version", write: "", read: "" },
];
/** c is device-2 as well, by its client certificate instead of a password. */
const WHO = { a: "device-1", b: "device-2", c: "device-2", d: "dashboard", w: "worker" } as const;
type Account = keyof typeof WHO;
const ACCOUNTS = Object.keys(WHO) as Account[];

describeWithBroker("access rules, by what is delivered", () => {
  let broker: Mosquitto;
  const links: MqttLink[] = [];
  let serial = 0;

  beforeAll(async () => {
    broker = await Mosquitto.start({ devices: ["device-1", "device-2"], certificates: ["device-2"] });
  });
  afterEach(async () => {
    for (const link of links.splice(0)) await link.close();
  });
  afterAll(() => broker.stop());

  async function open(access: Access, filters: string[] = []) {
    const options = { clientId: `client-${serial++}`, sessionExpirySeconds: 0, receiveMaximum: 100 };
    const link = new MqttLink({ ...access, ...options });
    links.push(link);
    for (const filter of filters) await link.subscribe(filter);
    const inbox = new Inbox(link);
    await inbox.state("up");
    return { link, inbox };
  }

  function accessOf(account: Account): Access {
    return account === "c" ? broker.tlsCertificate("device-2") : broker.tls(WHO[account]);
  }

  test("everyone may say and hear exactly what the rules give them", async () => {
    const clients = new Map<Account, Awaited<ReturnType<typeof open>>>();
    // Everybody asks for everything, and mosquitto grants it.
    for (const account of ACCOUNTS) clients.set(account, await open(accessOf(account), ["#", "$SYS/#"]));
    for (const { topic, write } of RULES) {
      for (const account of ACCOUNTS) {
        const outcome = clients.get(account)!.link.publish({
          topic,
          payload: Buffer.from(account),
          qos: 1,
          retain: false,
          properties: {},
        });
        if (write.includes(account)) await expect(outcome, `${account} to ${topic}`).resolves.toBeDefined();
        else await expect(outcome, `${account} to ${topic}`).rejects.toMatchObject({ code: "link-refused" });
      }
    }
    // A message of each writer to each topic, for each of its readers.
    const expected = new Map<Account, string[]>(ACCOUNTS.map((account) => [account, []]));
    for (const { topic, write, read } of RULES) {
      for (const reader of read) {
        for (const writer of write) expected.get(reader as Account)!.push(`${topic} from ${writer}`);
      }
    }
    for (const account of ACCOUNTS) {
      const { inbox } = clients.get(account)!;
      const wanted = expected.get(account)!.sort();
      await inbox.messages(wanted.length);
      const heard = inbox.deliveries.map(({ topic, payload }) => `${topic} from ${Buffer.from(payload)}`);
      expect(heard.sort(), account).toEqual(wanted);
    }
  });

  test("the protocol's own filters let the worker hear", async () => {
    const worker = await open(broker.tls("worker"), [requestsFilter("group"), controlsFilter("worker-x")]);
    const device = await open(broker.tls("device-1"));
    for (const { topic, write } of RULES) {
      if (!write.includes("a") || !["requests", "controls"].includes(addressOf(topic)?.channel ?? ""))
        continue;
      await device.link.publish({ topic, payload: Buffer.from("x"), qos: 1, retain: false, properties: {} });
    }
    await worker.inbox.messages(2);
    expect(worker.inbox.deliveries.map(({ topic }) => topic)).toEqual([RULES[0]!.topic, RULES[4]!.topic]);
  });
});
