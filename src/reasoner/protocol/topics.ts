import { id } from "./fields.ts";
import { PROTOCOL_VERSION } from "./limits.ts";
import type { Control, DeviceState, Presence, Reply, Request } from "./messages.ts";

/** Root of every topic. */
export const TOPIC_ROOT = `microturn/v${PROTOCOL_VERSION}`;

/** What travels on each channel. */
export interface MessageByChannel {
  requests: Request;
  replies: Reply;
  controls: Control;
  "device-presence": Presence;
  "device-state": DeviceState;
  "worker-presence": Presence;
}
export type Channel = keyof MessageByChannel;

/** A topic, taken apart. The device in it is the broker's word: access control ties it to the credentials. */
export type Address =
  | { channel: "requests"; device: string }
  | { channel: "replies"; device: string }
  | { channel: "controls"; worker: string; device: string }
  | { channel: "device-presence"; device: string }
  | { channel: "device-state"; device: string }
  | { channel: "worker-presence"; worker: string };

export type AddressOf<C extends Channel> = Extract<Address, { channel: C }>;

/** The topic of an address. Its identifiers must be valid; encodeMessage checks them. */
export function topicOf(address: Address): string {
  switch (address.channel) {
    case "requests":
      return `${TOPIC_ROOT}/devices/${address.device}/requests`;
    case "replies":
      return `${TOPIC_ROOT}/devices/${address.device}/replies`;
    case "controls":
      return `${TOPIC_ROOT}/workers/${address.worker}/controls/${address.device}`;
    case "device-presence":
      return `${TOPIC_ROOT}/devices/${address.device}/presence`;
    case "device-state":
      return `${TOPIC_ROOT}/devices/${address.device}/state`;
    case "worker-presence":
      return `${TOPIC_ROOT}/workers/${address.worker}/presence`;
    default:
      return address satisfies never;
  }
}

const DEVICE_CHANNELS: Record<string, "requests" | "replies" | "device-presence" | "device-state"> = {
  requests: "requests",
  replies: "replies",
  presence: "device-presence",
  state: "device-state",
};

/** The address of a topic, or null if it is none of the protocol's. */
export function addressOf(topic: string): Address | null {
  if (!topic.startsWith(`${TOPIC_ROOT}/`)) return null;
  const levels = topic.slice(TOPIC_ROOT.length + 1).split("/");
  const [group, owner, leaf, device] = levels;
  if (owner === undefined || leaf === undefined || !isId(owner)) return null;
  if (group === "devices" && levels.length === 3 && Object.hasOwn(DEVICE_CHANNELS, leaf)) {
    return { channel: DEVICE_CHANNELS[leaf]!, device: owner };
  }
  if (group !== "workers") return null;
  if (leaf === "presence" && levels.length === 3) return { channel: "worker-presence", worker: owner };
  if (leaf === "controls" && levels.length === 4 && isId(device!)) {
    return { channel: "controls", worker: owner, device: device! };
  }
  return null;
}

export function isId(value: string): boolean {
  return id.safeParse(value).success;
}

/** The filter by which the workers of a group share the requests of all devices: each goes to one of them. */
export function requestsFilter(group: string): string {
  return `$share/${group}/${TOPIC_ROOT}/devices/+/requests`;
}

/** The filter by which a worker hears what devices say about the tasks it runs. */
export function controlsFilter(worker: string): string {
  return `${TOPIC_ROOT}/workers/${worker}/controls/+`;
}
