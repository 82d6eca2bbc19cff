import type { IClientPublishOptions, IPublishPacket } from "mqtt";
import type { WireMessage, WireProperties } from "../protocol/wire.ts";

type PublishProperties = NonNullable<IClientPublishOptions["properties"]>;

const TRACEPARENT = "traceparent";

/** The properties of a PUBLISH as mqtt.js names them. */
export function toMqtt(properties: WireProperties): PublishProperties {
  const { contentType, expirySeconds, responseTopic, correlationData, traceparent } = properties;
  return {
    payloadFormatIndicator: true,
    ...(contentType !== undefined && { contentType }),
    ...(expirySeconds !== undefined && { messageExpiryInterval: expirySeconds }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData) }),
    ...(traceparent !== undefined && { userProperties: { [TRACEPARENT]: traceparent } }),
  };
}

/** What the protocol needs of the properties of a PUBLISH that came in. */
export function fromMqtt(packet: IPublishPacket): WireProperties {
  const { contentType, messageExpiryInterval, responseTopic, correlationData, userProperties } =
    packet.properties ?? {};
  const traceparent = userProperties?.[TRACEPARENT];
  return {
    ...(contentType !== undefined && { contentType }),
    ...(messageExpiryInterval !== undefined && { expirySeconds: messageExpiryInterval }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData }),
    // A name may stand there several times: which one would be meant?
    ...(typeof traceparent === "string" && { traceparent }),
  };
}

/** The last will that leaves `message` behind. */
export function willOf(message: WireMessage) {
  const { contentType, expirySeconds } = message.properties;
  return {
    topic: message.topic,
    payload: Buffer.from(message.payload),
    qos: message.qos,
    retain: message.retain,
    properties: {
      payloadFormatIndicator: true,
      ...(contentType !== undefined && { contentType }),
      ...(expirySeconds !== undefined && { messageExpiryInterval: expirySeconds }),
    },
  };
}
