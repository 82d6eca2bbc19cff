import { LIMITS, PROTOCOL_VERSION } from "./limits.ts";
import type { Reply, Request } from "./messages.ts";
import { type Address, addressOf, type Channel, type MessageByChannel, topicOf } from "./topics.ts";
import { CONTENT_TYPE, correlationOf, describeIssues, SCHEMAS, type WireProperties } from "./wire.ts";

/** Why a message was refused. Stable names: metrics count by them. */
export const REFUSALS = [
  "unknown-topic",
  "too-large",
  "wrong-content-type",
  "not-utf8",
  "not-json",
  "wrong-version",
  "invalid-payload",
  "missing-expiry",
  "wrong-response-topic",
  "wrong-correlation",
] as const;
export type RefusalReason = (typeof REFUSALS)[number];

/** A refusal never quotes the message: `detail` holds places, sizes and kinds of fault. */
export interface Refusal {
  reason: RefusalReason;
  detail: string;
}

/** A message that came in and was found well-formed. */
export type Received = {
  [A in Address as A["channel"]]: A & {
    message: MessageByChannel[A["channel"]];
    /** What is left of the message's validity, s; null where the channel has none (presence, state). */
    expirySeconds: number | null;
    /** Whole seconds that it spent at the broker; 0 where the channel has no expiry. */
    ageSeconds: number;
    /** Present and well-formed, or null. */
    traceparent: string | null;
  };
}[Channel];

export type Parsed = { ok: true; received: Received } | { ok: false; refusal: Refusal };

/** W3C Trace Context, level 1, section 3.2.2: version 00 with non-zero ids. One that is malformed is ignored (3.2.4). */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The one way in for anything that a broker hands over. Never throws.
 * @param payload borrowed.
 */
export function parseMessage(topic: string, payload: Uint8Array, properties: WireProperties): Parsed {
  const address = addressOf(topic);
  if (!address) return refuse("unknown-topic", `${topic.length} characters`);
  const limit = LIMITS.payloadBytes[address.channel];
  if (payload.length > limit) return refuse("too-large", `${payload.length} bytes, at most ${limit}`);
  if (properties.contentType !== CONTENT_TYPE) return refuse("wrong-content-type", address.channel);
  const json = parseJson(payload);
  if (!json.ok) return json;
  const version = (json.data as { v?: unknown } | null)?.v;
  if (version !== PROTOCOL_VERSION) {
    return refuse("wrong-version", typeof version === "number" ? String(version) : typeof version);
  }
  const checked = SCHEMAS[address.channel].safeParse(json.data);
  if (!checked.success)
    return refuse("invalid-payload", `${address.channel}: ${describeIssues(checked.error)}`);
  return checkProperties(address, checked.data, properties);
}

function checkProperties(
  address: Address,
  message: MessageByChannel[Channel],
  properties: WireProperties,
): Parsed {
  const { expirySeconds, responseTopic, correlationData, traceparent } = properties;
  const validity = validityOf(address, message);
  if (validity !== null && (expirySeconds === undefined || expirySeconds > validity)) {
    return refuse("missing-expiry", `${address.channel}: ${expirySeconds ?? "none"}, at most ${validity} s`);
  }
  // A request that asks for its replies elsewhere would make the worker write where the device itself may not.
  if (
    address.channel === "requests" &&
    responseTopic !== topicOf({ channel: "replies", device: address.device })
  ) {
    return refuse("wrong-response-topic", responseTopic === undefined ? "none" : "not the device's own");
  }
  if (address.channel === "requests" || address.channel === "replies") {
    const expected = correlationOf(message as Request | Reply);
    if (!correlationData || Buffer.compare(correlationData, expected) !== 0) {
      return refuse("wrong-correlation", correlationData ? "of another attempt" : "none");
    }
  }
  const received = {
    ...address,
    message,
    expirySeconds: validity === null ? null : expirySeconds!,
    ageSeconds: validity === null ? 0 : validity - expirySeconds!,
    traceparent: traceparent !== undefined && TRACEPARENT.test(traceparent) ? traceparent : null,
  };
  return { ok: true, received: received as Received };
}

/** Seconds that the sender gave the message, or null for a channel without expiry. */
function validityOf(address: Address, message: MessageByChannel[Channel]): number | null {
  switch (address.channel) {
    case "requests":
      return Math.ceil((message as Request).deadlineMs / 1000);
    case "replies":
    case "controls":
      return (message as MessageByChannel["replies" | "controls"]).validSeconds;
    case "device-presence":
    case "device-state":
    case "worker-presence":
      return null;
    default:
      return address satisfies never;
  }
}

function parseJson(payload: Uint8Array): { ok: true; data: unknown } | { ok: false; refusal: Refusal } {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  } catch {
    return refuse("not-utf8", `${payload.length} bytes`);
  }
  try {
    return { ok: true, data: JSON.parse(text) };
  } catch {
    return refuse("not-json", `${payload.length} bytes`);
  }
}

function refuse(reason: RefusalReason, detail: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: { reason, detail } };
}
