import { afterEach, expect, test } from "vitest";
import { InProcessBroker } from "../../../src/reasoner/link/in-process.ts";
import type { Link } from "../../../src/reasoner/link/link.ts";
import { MqttLink } from "../../../src/reasoner/link/mqtt-link.ts";
import { deviceStateSchema } from "../../../src/reasoner/protocol/messages.ts";
import { topicOf } from "../../../src/reasoner/protocol/topics.ts";
import { discoveryMessage } from "../../../src/reasoner/status/discovery.ts";
import { StatusLink } from "../../../src/reasoner/status/status-link.ts";
import { Inbox } from "../parts/inbox.ts";
import { describeWithBroker, Mosquitto } from "../parts/mosquitto.ts";

const OPTIONS = { device: "mirror-1", name: "Mirror in the hall" };
const stateTopic = topicOf({ channel: "device-state", device: "mirror-1" });
const line = { clientId: "mirror-1", sessionExpirySeconds: 0, receiveMaximum: 10 };

const links: Link[] = [];
afterEach(async () => {
  for (const link of links.splice(0)) await link.close();
});

function states(inbox: Inbox): Record<string, unknown>[] {
  return inbox.deliveries
    .filter(({ topic }) => topic === stateTopic)
    .map(({ payload }) => JSON.parse(Buffer.from(payload).toString()));
}

test("the discovery payload has what Home Assistant demands of one", () => {
  const { topic, payload, retain } = discoveryMessage(OPTIONS);
  expect([topic, retain]).toEqual(["homeassistant/device/mirror-1/config", true]);
  const config = JSON.parse(Buffer.from(payload).toString());
  expect(config.device).toMatchObject({ identifiers: ["mirror-1"], name: "Mirror in the hall" });
  expect(config.origin.name).toBe("microturn");
  expect(config.state_topic).toBe(stateTopic);
  expect(config.availability_topic).toBe("microturn/v1/devices/mirror-1/presence");
  const fields = Object.keys(deviceStateSchema.shape).filter((field) => field !== "v" && field !== "kind");
  const shown = Object.entries<Record<string, string>>(config.components).map(([key, component]) => {
    expect(["sensor", "binary_sensor"]).toContain(component.platform);
    expect(component.unique_id).toBe(`mirror-1_${key}`);
    return /value_json\.(\w+)/.exec(component.value_template!)?.[1];
  });
  // Every entity shows a field that the state has, and none is left out.
  expect(shown.sort()).toEqual(fields.sort());
});

test("tells discovery and state on every connection, and a change once, the newest only", async () => {
  const broker = new InProcessBroker();
  const dashboard = broker.link({ ...line, clientId: "dashboard" });
  const inner = broker.link(line);
  const device = new StatusLink(inner, OPTIONS);
  links.push(dashboard, device);
  await dashboard.subscribe("homeassistant/#");
  await dashboard.subscribe(stateTopic);
  const seen = new Inbox(dashboard);
  await seen.state("up");
  const own = new Inbox(device);
  await own.state("up");
  await seen.messages(2);
  for (let late = 1; late <= 50; late++) device.update({ session: "running", lateMicroTurns: late });
  await seen.messages(3);
  inner.cut();
  inner.mend();
  await seen.messages(5);
  await device.close();
  await seen.messages(6);
  expect(states(seen).map(({ session, lateMicroTurns }) => `${session} ${lateMicroTurns}`)).toEqual([
    "idle 0",
    "running 50",
    "running 50",
    "idle 50",
  ]);
});

describeWithBroker("with the shipped access rules", () => {
  test("a dashboard that comes later finds discovery, presence and state", async () => {
    const broker = await Mosquitto.start({ devices: ["mirror-1"] });
    try {
      const device = new StatusLink(new MqttLink({ ...broker.tls("mirror-1"), ...line }), OPTIONS);
      const early = new MqttLink({ ...broker.tls("dashboard"), ...line, clientId: "early" });
      await early.subscribe(stateTopic);
      const first = new Inbox(early);
      await first.state("up");
      await new Inbox(device).state("up");
      device.update({ tasksRunning: 1 });
      await first.messages(2);
      await early.close();
      const dashboard = new MqttLink({ ...broker.tls("dashboard"), ...line, clientId: "dashboard" });
      await dashboard.subscribe("#");
      const seen = new Inbox(dashboard);
      await seen.messages(2);
      expect(seen.deliveries.map(({ topic, retained }) => [topic, retained]).sort()).toEqual([
        ["homeassistant/device/mirror-1/config", true],
        [stateTopic, true],
      ]);
      expect(states(seen)).toMatchObject([{ tasksRunning: 1 }]);
      await dashboard.close();
      await device.close();
    } finally {
      await broker.stop();
    }
  });
});
