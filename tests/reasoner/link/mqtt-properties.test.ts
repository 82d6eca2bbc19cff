import { expect, test } from "vitest";
import { willOf } from "../../../src/reasoner/link/mqtt-properties.ts";

test("a last will keeps how long it is worth keeping: a dead worker's presence does not stay for ever", () => {
  const will = willOf({
    topic: "microturn/v1/workers/w1/presence",
    payload: new TextEncoder().encode("{}"),
    qos: 1,
    retain: true,
    properties: { contentType: "application/json", expirySeconds: 3600 },
  });
  expect(will.retain).toBe(true);
  expect(will.properties).toEqual({
    payloadFormatIndicator: true,
    contentType: "application/json",
    messageExpiryInterval: 3600,
  });
});
