import type { IClientOptions } from "mqtt";
import { RuntimeError } from "../../core/errors.ts";
import type { LinkOptions } from "./link.ts";
import { willOf } from "./mqtt-properties.ts";

export interface MqttLinkOptions extends LinkOptions {
  /** mqtt://HOST[:1883] or mqtts://HOST[:8883]; credentials do not belong in it. */
  url: string;
  username?: string;
  password?: string;
  /** PEM. The authorities that may have signed the broker's certificate; the system's own if absent. */
  ca?: string | Buffer;
  /** PEM. What the client shows of itself, and its key. */
  certificate?: string | Buffer;
  key?: string | Buffer;
  /** A broker that is silent for half as long again is taken for gone, s. Default 15. */
  keepaliveSeconds?: number;
  /** The wait before a reconnect: doubles from `first` to `max`, the upper half of each at random, ms. Default 1 s to 60 s. */
  reconnectMs?: { first: number; max: number };
  /**
   * How long nothing more is read after a message of QoS 0, which the protocol never sends, ms. Who floods with them is
   * held back by TCP, where the receive maximum holds back only QoS 1. Default 0.
   */
  qos0PauseMs?: number;
  /** The broker drops what is larger, bytes. Default 1.25 MiB: the largest payload of the protocol and its head. */
  maximumPacketBytes?: number;
}

/**
 * What messages call the broker: scheme, host and port.
 * @throws RuntimeError "invalid-configuration" if the address is none of MQTT's or holds credentials.
 */
export function brokerName(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !["mqtt:", "mqtts:"].includes(url.protocol) || url.username !== "" || url.password !== "") {
    throw new RuntimeError("invalid-configuration", {
      part: "reasoner link",
      problem: "the broker's address is not mqtt://HOST:PORT or mqtts://HOST:PORT without credentials",
      remedy: "Give user name and password on their own",
    });
  }
  return `${url.protocol}//${url.host}`;
}

/** The same for mqtt.js, which then reconnects by itself, `reconnectMs` after the connection is gone. */
export function clientOptions(
  options: MqttLinkOptions,
  timeoutMs: number,
  reconnectMs: number,
): IClientOptions {
  const { clientId, username, password, ca, certificate, key, presence } = options;
  const { sessionExpirySeconds, receiveMaximum, keepaliveSeconds = 15 } = options;
  return {
    protocolVersion: 5,
    clientId,
    clean: sessionExpirySeconds === 0,
    keepalive: keepaliveSeconds,
    connectTimeout: timeoutMs,
    reconnectPeriod: reconnectMs,
    reconnectOnConnackError: true,
    // The link makes subscriptions anew, so that "up" can wait for them.
    resubscribe: false,
    // Nothing is queued while the link is down: `publish` refuses before.
    queueQoSZero: false,
    properties: {
      sessionExpiryInterval: sessionExpirySeconds,
      receiveMaximum,
      maximumPacketSize: options.maximumPacketBytes ?? 1_310_720,
    },
    ...(presence && { will: willOf(presence.offline) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
  };
}

/**
 * The wait before the next attempt to connect, ms: doubles with every failure, and the upper half of it is random, so
 * that a thousand devices do not return in one moment to a broker that was restarted.
 * @param random in [0, 1).
 */
export function reconnectDelayMs(
  { first, max }: { first: number; max: number },
  failures: number,
  random: () => number,
): number {
  const boundMs = Math.min(max, first * 2 ** failures);
  return Math.max(1, Math.round(boundMs * (0.5 + 0.5 * random())));
}
