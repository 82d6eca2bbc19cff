import type { z } from "zod";
import { RuntimeError } from "../../core/errors.ts";
import { LIMITS } from "./limits.ts";
import {
  controlSchema,
  deviceStateSchema,
  presenceSchema,
  type Reply,
  type Request,
  replySchema,
  requestSchema,
} from "./messages.ts";
import {
  type Address,
  type AddressOf,
  type Channel,
  isId,
  type MessageByChannel,
  topicOf,
} from "./topics.ts";

export const CONTENT_TYPE = "application/json";

/** The MQTT 5 properties that the protocol uses. */
export interface WireProperties {
  contentType?: string;
  /** Message expiry interval, s. On a received message: what is left of it. */
  expirySeconds?: number;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** User property of that name: W3C trace context. */
  traceparent?: string;
}

/** A message as an MQTT PUBLISH carries it. */
export interface WireMessage {
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1;
  retain: boolean;
  properties: WireProperties;
}

export const SCHEMAS: { [C in Channel]: z.ZodType<MessageByChannel[C]> } = {
  requests: requestSchema,
  replies: replySchema,
  controls: controlSchema,
  "device-presence": presenceSchema,
  "device-state": deviceStateSchema,
  "worker-presence": presenceSchema,
};

const RETAINED: readonly Channel[] = ["device-presence", "device-state", "worker-presence"];

/**
 * A message ready to be published. Everything is QoS 1; presence and state are retained.
 * @param traceparent W3C trace context of the task, carried as a user property.
 * @throws RuntimeError "invalid-argument" if the receiver would refuse it. The error says where, not what.
 */
export function encodeMessage<C extends Channel>(
  address: AddressOf<C>,
  message: MessageByChannel[C],
  traceparent?: string,
): WireMessage {
  // Inside, the channel is one of the union's: the compiler cannot follow C through it.
  const target: Address = address;
  for (const part of ["device", "worker"] as const) {
    const value = (target as Partial<Record<typeof part, string>>)[part];
    if (value !== undefined && !isId(value)) throw unsendable(target.channel, `${part} is not an identifier`);
  }
  const checked = SCHEMAS[target.channel].safeParse(message);
  if (!checked.success) throw unsendable(target.channel, describeIssues(checked.error));
  const payload = new TextEncoder().encode(JSON.stringify(checked.data));
  const limit = LIMITS.payloadBytes[target.channel];
  if (payload.length > limit) throw unsendable(target.channel, `${payload.length} bytes exceed ${limit}`);
  const properties = propertiesOf(target, checked.data);
  if (traceparent !== undefined) properties.traceparent = traceparent;
  return { topic: topicOf(target), payload, qos: 1, retain: RETAINED.includes(target.channel), properties };
}

/** The correlation data of an attempt: the task and the attempt's number. */
export function correlationOf(attempt: { task: string; attempt: number }): Uint8Array {
  return new TextEncoder().encode(`${attempt.task}/${attempt.attempt}`);
}

function propertiesOf(address: Address, message: MessageByChannel[Channel]): WireProperties {
  const properties: WireProperties = { contentType: CONTENT_TYPE };
  if (address.channel === "requests") {
    const request = message as Request;
    properties.expirySeconds = Math.ceil(request.deadlineMs / 1000);
    properties.responseTopic = topicOf({ channel: "replies", device: address.device });
    properties.correlationData = correlationOf(request);
  } else if (address.channel === "replies") {
    const reply = message as Reply;
    properties.expirySeconds = reply.validSeconds;
    properties.correlationData = correlationOf(reply);
  } else if (address.channel === "controls") {
    properties.expirySeconds = (message as MessageByChannel["controls"]).validSeconds;
  }
  return properties;
}

/** Where a payload is wrong and how, without a word of its content. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 4)
    .map(
      (issue) =>
        `${issue.path.filter((key) => typeof key !== "symbol").join(".") || "payload"}: ${issue.code}`,
    )
    .join("; ");
}

function unsendable(channel: Channel, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", { part: `reasoner ${channel}`, problem });
}
