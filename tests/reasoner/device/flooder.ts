/**
 * A hostile reasoner: floods a device with well-formed replies until it is killed. It writes packets that were made
 * before, as a program whose only aim is to flood would. Arguments: the device, messages a second, and as JSON the
 * broker's address with user name and password.
 */
import mqtt from "mqtt";
import { generate } from "mqtt-packet";
import { toMqtt } from "../../../src/reasoner/link/mqtt-properties.ts";
import { encodeMessage } from "../../../src/reasoner/protocol/wire.ts";

const [device, perSecond, access] = process.argv.slice(2);
const { url, ...credentials } = JSON.parse(access!);
const client = await mqtt.connectAsync(url, { ...credentials, protocolVersion: 5 });

const BATCH = 100;
/** Replies for tasks that never were, from executions that nobody follows. QoS 0: nothing holds them back but the broker. */
const batch = Buffer.concat(
  Array.from({ length: BATCH }, (_, i) => {
    const { topic, payload, properties } = encodeMessage(
      { channel: "replies", device: device! },
      {
        v: 1,
        kind: "progress",
        task: `task-${i}`,
        attempt: 1,
        worker: `hostile-${i % 7}`,
        seq: 1 + i,
        controls: 0,
        validSeconds: 60,
        text: "x".repeat(200),
      },
    );
    const packet = {
      cmd: "publish",
      topic,
      payload: Buffer.from(payload),
      properties: toMqtt(properties),
    } as const;
    return generate({ ...packet, qos: 0, dup: false, retain: false }, { protocolVersion: 5 });
  }),
);

process.stdout.write("flooding\n");
let sent = 0;
const beganMs = performance.now();
process.once("SIGTERM", () => {
  process.stdout.write(`${JSON.stringify({ sent, seconds: (performance.now() - beganMs) / 1000 })}\n`, () =>
    process.exit(0),
  );
});
for (;;) {
  const aheadMs = (sent / Number(perSecond)) * 1000 - (performance.now() - beganMs);
  if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  // What the broker does not take is not piled up here.
  if (!client.stream.write(batch)) await new Promise((resolve) => client.stream.once("drain", resolve));
  sent += BATCH;
}
