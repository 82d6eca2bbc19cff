import { describe, expect, test } from "vitest";
import { cleanText } from "../../../src/reasoner/protocol/fields.ts";
import { LIMITS } from "../../../src/reasoner/protocol/limits.ts";
import { parseMessage } from "../../../src/reasoner/protocol/parse.ts";
import { addressOf, topicOf } from "../../../src/reasoner/protocol/topics.ts";
import type { WireMessage, WireProperties } from "../../../src/reasoner/protocol/wire.ts";
import { encodeSample, SAMPLES, TRACEPARENT } from "./samples.ts";

function parse(message: WireMessage, more: Partial<WireProperties> = {}) {
  return parseMessage(message.topic, message.payload, { ...message.properties, ...more });
}

function reasonOf(message: WireMessage, more: Partial<WireProperties> = {}): string {
  const parsed = parse(message, more);
  return parsed.ok ? "accepted" : parsed.refusal.reason;
}

const request = SAMPLES.find(({ message }) => message.kind === "request")!;
const result = SAMPLES.find(({ message }) => message.kind === "result")!;
const presence = SAMPLES.find(({ message }) => message.kind === "presence")!;

describe("a message", () => {
  test.each(SAMPLES)("$name comes out as it went in", (sample) => {
    const parsed = parse(encodeSample(sample));
    expect(parsed).toMatchObject({ ok: true, received: { ...sample.address, message: sample.message } });
    if (parsed.ok) expect(parsed.received.traceparent).toBe(TRACEPARENT);
  });

  test("on the wire is what the page says", () => {
    const wire = encodeSample(request);
    expect(wire).toMatchObject({ topic: "microturn/v1/devices/mirror-1/requests", qos: 1, retain: false });
    expect(wire.properties).toEqual({
      contentType: "application/json",
      expirySeconds: 60,
      responseTopic: "microturn/v1/devices/mirror-1/replies",
      correlationData: new Uint8Array(Buffer.from("task-1/2")),
      traceparent: TRACEPARENT,
    });
    expect(encodeSample(presence)).toMatchObject({ retain: true });
    expect(encodeSample(presence).properties.expirySeconds).toBeUndefined();
  });

  test("knows its age by what the broker has taken off its expiry", () => {
    const parsed = parse(encodeSample(result), { expirySeconds: 588 });
    expect(parsed).toMatchObject({ ok: true, received: { ageSeconds: 12, expirySeconds: 588 } });
  });

  test("with a malformed trace context has none", () => {
    for (const traceparent of ["", "00-0-0-01", TRACEPARENT.toUpperCase(), TRACEPARENT.replace(/a/g, "g")]) {
      expect(parse(encodeSample(result), { traceparent })).toMatchObject({
        ok: true,
        received: { traceparent: null },
      });
    }
  });

  test("that the receiver would refuse is not sent, and the error tells nothing of it", () => {
    const secret = "my knee hurts\u0007";
    const bad = { ...result, message: { ...result.message, text: secret } as typeof result.message };
    expect(() => encodeSample(bad)).toThrow(
      expect.objectContaining({ code: "invalid-argument", message: expect.not.stringContaining("knee") }),
    );
    expect(() => encodeSample({ ...request, address: { channel: "requests", device: "a/b" } })).toThrow(
      "device is not an identifier",
    );
  });

  test("as large as its parts may be still fits", () => {
    const text = (chars: number) => "ÿ".repeat(chars);
    const { chars, entries } = LIMITS;
    const full = {
      ...request.message,
      text: text(chars.task),
      context: {
        v: 1,
        elapsedMs: 0,
        transcript: Array.from({ length: entries.transcript }, () => ({
          by: "person",
          timeMs: 0,
          text: text(chars.transcriptEntry),
          heard: true,
        })),
        counts: [],
        devices: [],
        stills: Array.from({ length: entries.stills }, () => ({
          captureMs: 0,
          width: 1,
          height: 1,
          jpeg: "A".repeat(LIMITS.stillChars),
        })),
      },
    } as unknown as typeof request.message;
    expect(reasonOf(encodeSample({ ...request, message: full }))).toBe("accepted");
    const long = { ...result.message, text: text(chars.result) } as typeof result.message;
    expect(reasonOf(encodeSample({ ...result, message: long }))).toBe("accepted");
  });
});

describe("what is refused", () => {
  const wire = encodeSample(request);

  test("a request whose replies would go elsewhere", () => {
    for (const responseTopic of [
      "microturn/v1/devices/other/replies",
      "microturn/v1/devices/mirror-1/requests",
    ]) {
      expect(reasonOf(wire, { responseTopic })).toBe("wrong-response-topic");
    }
    const { responseTopic, ...without } = wire.properties;
    expect(reasonOf({ ...wire, properties: without })).toBe("wrong-response-topic");
  });

  test("correlation data of another attempt, or none", () => {
    expect(reasonOf(wire, { correlationData: Buffer.from("task-1/3") })).toBe("wrong-correlation");
    const { correlationData, ...without } = encodeSample(result).properties;
    expect(reasonOf({ ...encodeSample(result), properties: without })).toBe("wrong-correlation");
  });

  test("no expiry, or more than the payload grants", () => {
    const { expirySeconds, ...without } = wire.properties;
    expect(reasonOf({ ...wire, properties: without })).toBe("missing-expiry");
    expect(reasonOf(wire, { expirySeconds: 61 })).toBe("missing-expiry");
  });

  test("follow-ups that are not numbered 1, 2, 3", () => {
    const message = structuredClone(request.message) as { followUps: { control: number }[] };
    message.followUps[1]!.control = 3;
    expect(reasonOf({ ...wire, payload: Buffer.from(JSON.stringify(message)) })).toBe("invalid-payload");
  });

  test("a payload of the wrong channel", () => {
    const topic = topicOf({ channel: "replies", device: "mirror-1" });
    expect(reasonOf({ ...wire, topic })).toBe("invalid-payload");
  });
});

describe("topics", () => {
  test.each(SAMPLES)("of $name are taken apart as they were put together", ({ address }) => {
    expect(addressOf(topicOf(address))).toEqual(address);
  });

  test.each([
    "",
    "microturn/v1",
    "microturn/v2/devices/a/requests",
    "microturn/v1/devices/a/replies/b",
    "microturn/v1/devices//replies",
    "microturn/v1/devices/+/replies",
    "microturn/v1/devices/a b/replies",
    `microturn/v1/devices/${"a".repeat(65)}/replies`,
    "microturn/v1/devices/a/toString",
    "microturn/v1/workers/a/controls",
    "microturn/v1/workers/a/controls/b/c",
    "microturn/v1/workers/a/replies",
    "homeassistant/device/a/config",
  ])("refuse %j", (topic) => {
    expect(addressOf(topic)).toBeNull();
  });
});

describe("cleanText", () => {
  test("drops what would steer a terminal, halves of pairs, and what is too long", () => {
    expect(cleanText("a\u001b[31mb\ud800c\td\n", 20)).toBe("a[31mbc\td\n");
    expect(cleanText("😀😀", 3)).toBe("😀");
    expect(cleanText("😀😀", 4)).toBe("😀😀");
  });
});
