import { topicOf } from "../protocol/topics.ts";
import { CONTENT_TYPE, type WireMessage } from "../protocol/wire.ts";

/** The prefix that Home Assistant listens on unless it is told otherwise. */
const DISCOVERY_PREFIX = "homeassistant";

export interface DiscoveryOptions {
  /** The device's identifier in topics. */
  device: string;
  /** What people call it. */
  name: string;
}

/** One entity of the device: a sensor, or a binary sensor if it says what "on" is. */
interface Entity {
  name: string;
  template: string;
  icon: string;
  unit?: string;
  binary?: boolean;
}

const ENTITIES: Readonly<Record<string, Entity>> = {
  session: {
    name: "Session",
    template: "{{ 'ON' if value_json.session == 'running' else 'OFF' }}",
    icon: "mdi:account-voice",
    binary: true,
  },
  tasks_waiting: {
    name: "Tasks waiting",
    template: "{{ value_json.tasksWaiting }}",
    icon: "mdi:tray-full",
    unit: "tasks",
  },
  tasks_running: {
    name: "Tasks running",
    template: "{{ value_json.tasksRunning }}",
    icon: "mdi:brain",
    unit: "tasks",
  },
  late_micro_turns: {
    name: "Late micro-turns",
    template: "{{ value_json.lateMicroTurns }}",
    icon: "mdi:timer-alert-outline",
    unit: "micro-turns",
  },
};

/**
 * Tells Home Assistant of the device: one retained message (MQTT discovery, "device discovery payload"). Whether the
 * device is there comes from its presence, the rest from its state. An empty retained message on the same topic makes
 * Home Assistant forget it.
 */
export function discoveryMessage({ device, name }: DiscoveryOptions): WireMessage {
  const components = Object.entries(ENTITIES).map(([key, entity]) => [
    key,
    {
      platform: entity.binary ? "binary_sensor" : "sensor",
      unique_id: `${device}_${key}`,
      name: entity.name,
      value_template: entity.template,
      icon: entity.icon,
      ...(entity.unit !== undefined && { unit_of_measurement: entity.unit, state_class: "measurement" }),
    },
  ]);
  const config = {
    device: { identifiers: [device], name, manufacturer: "microturn" },
    origin: { name: "microturn" },
    components: Object.fromEntries(components),
    state_topic: topicOf({ channel: "device-state", device }),
    availability_topic: topicOf({ channel: "device-presence", device }),
    availability_template: "{{ value_json.state }}",
    qos: 1,
  };
  return {
    topic: `${DISCOVERY_PREFIX}/device/${device}/config`,
    payload: new TextEncoder().encode(JSON.stringify(config)),
    qos: 1,
    retain: true,
    properties: { contentType: CONTENT_TYPE },
  };
}
