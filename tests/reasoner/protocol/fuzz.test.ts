import { expect, test } from "vitest";
import { LIMITS } from "../../../src/reasoner/protocol/limits.ts";
import { parseMessage, REFUSALS, type RefusalReason } from "../../../src/reasoner/protocol/parse.ts";
import type { WireMessage } from "../../../src/reasoner/protocol/wire.ts";
import { seededRandom } from "../../timeline/random.ts";
import { encodeSample, SAMPLES, type Sample } from "./samples.ts";

const random = seededRandom(4);
const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;

type Fields = Record<string, unknown>;

function withPayload(wire: WireMessage, payload: Uint8Array | string): WireMessage {
  return { ...wire, payload: typeof payload === "string" ? Buffer.from(payload) : payload };
}

/** The payload with one change to one object in it, at any depth; null if the change does not apply anywhere. */
function changed(sample: Sample, change: (object: Fields, key: string) => boolean): string | null {
  const payload = structuredClone(sample.message) as unknown as Fields;
  const places: [Fields, string][] = [];
  const collect = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      // The version has a refusal of its own, tested below.
      if (!(value === payload && key === "v")) places.push([value as Fields, key]);
      collect((value as Fields)[key]);
    }
  };
  collect(payload);
  while (places.length > 0) {
    const [[object, key]] = places.splice(Math.floor(random() * places.length), 1) as [[Fields, string]];
    if (change(object, key)) return JSON.stringify(payload);
  }
  return null;
}

/** A way to spoil a valid message, and the only reason for which it may then be refused. */
interface Spoiler {
  reason: RefusalReason;
  spoil(wire: WireMessage, sample: Sample): WireMessage | null;
}

function spoilField(reason: RefusalReason, change: (object: Fields, key: string) => boolean): Spoiler {
  return {
    reason,
    spoil: (wire, sample) => {
      const payload = changed(sample, change);
      // What is too large is not even read, and has a refusal of its own.
      if (payload === null || payload.length > LIMITS.payloadBytes[sample.address.channel]) return null;
      return withPayload(wire, payload);
    },
  };
}

const SPOILERS: readonly Spoiler[] = [
  // A field is missing. `text` of a progress may be.
  spoilField("invalid-payload", (object, key) => {
    if (Array.isArray(object) || (object.kind === "progress" && key === "text")) return false;
    return delete object[key];
  }),
  // A field too many, with names that trap careless code.
  spoilField("invalid-payload", (object) => {
    if (Array.isArray(object)) return false;
    const name = pick(["extra", "constructor", "toString", "Kind", ""]);
    object[name] = 1;
    return true;
  }),
  // Another type.
  spoilField("invalid-payload", (object, key) => {
    const value = object[key];
    object[key] = pick<unknown>([null, [[]], { a: 1 }, typeof value === "string" ? 7 : "7", !value && 1.5]);
    return JSON.stringify(object[key]) !== JSON.stringify(value) && object[key] !== false;
  }),
  // A number out of its bounds.
  spoilField("invalid-payload", (object, key) => {
    if (typeof object[key] !== "number") return false;
    object[key] = key === "value" ? pick([1e300, -1e300]) : pick([-1, 1e300, -1e-9, 1e18]);
    return true;
  }),
  // A text that is too long, empty, or holds what would steer a terminal.
  spoilField("invalid-payload", (object, key) => {
    if (typeof object[key] !== "string" || key === "kind") return false;
    object[key] = pick([
      "x".repeat(key === "jpeg" ? LIMITS.stillChars + 4 : 20_000),
      "\u001b[2J",
      "\u0000",
      "a\ud800",
    ]);
    return true;
  }),
  {
    reason: "wrong-version",
    spoil: (wire, { message }) =>
      withPayload(wire, JSON.stringify({ ...message, v: pick([0, 2, "1", null, [1], 1.5, true]) })),
  },
  {
    reason: "wrong-version",
    spoil: (wire) => withPayload(wire, pick(["null", "1", '"v"', "[]", "{}", "true", "[[[[]]]]"])),
  },
  {
    reason: "not-json",
    spoil: (wire) => withPayload(wire, wire.payload.subarray(0, Math.floor(random() * wire.payload.length))),
  },
  {
    reason: "not-json",
    spoil: (wire) => withPayload(wire, pick(["{'v':1}", "NaN", "\ufeff", "[".repeat(1000), '{"v":1,}'])),
  },
  {
    reason: "not-utf8",
    spoil: (wire) => {
      const payload = Buffer.from(wire.payload);
      payload[Math.floor(random() * payload.length)] = pick([0x80, 0xc0, 0xf8, 0xff]);
      // A stray byte within a multi-byte character may be a valid one.
      return payload.equals(wire.payload) || payload.toString().includes("\ufffd")
        ? withPayload(wire, payload)
        : null;
    },
  },
  {
    reason: "too-large",
    spoil: (wire, { address }) =>
      withPayload(wire, Buffer.alloc(LIMITS.payloadBytes[address.channel] + 1, " ")),
  },
  {
    reason: "wrong-content-type",
    spoil: (wire) => ({
      ...wire,
      properties: { ...wire.properties, contentType: pick(["text/plain", "", "application/json;charset=x"]) },
    }),
  },
  {
    reason: "unknown-topic",
    spoil: (wire) => {
      const levels = wire.topic.split("/");
      levels.splice(Math.floor(random() * levels.length), pick([0, 1]), ...pick([[], ["+"], [""], ["a b"]]));
      const topic = levels.join("/");
      return topic === wire.topic ? null : { ...wire, topic };
    },
  },
  {
    reason: "missing-expiry",
    spoil: (wire) =>
      wire.retain ? null : { ...wire, properties: { ...wire.properties, expirySeconds: 86_400 * 365 } },
  },
  {
    reason: "wrong-correlation",
    spoil: (wire) =>
      wire.properties.correlationData
        ? {
            ...wire,
            properties: { ...wire.properties, correlationData: Buffer.from(pick(["", "task-1/", "x"])) },
          }
        : null,
  },
  {
    reason: "wrong-response-topic",
    spoil: (wire) =>
      wire.properties.responseTopic
        ? {
            ...wire,
            properties: { ...wire.properties, responseTopic: wire.properties.responseTopic.slice(1) },
          }
        : null,
  },
];

test("1 000 spoiled messages are refused, each for the one reason that fits", () => {
  const counts = new Map<RefusalReason, number>();
  const wrong: string[] = [];
  for (let made = 0; made < 1000; ) {
    const sample = pick(SAMPLES);
    const spoiler = pick(SPOILERS);
    const bad = spoiler.spoil(encodeSample(sample), sample);
    if (!bad) continue;
    made++;
    const parsed = parseMessage(bad.topic, bad.payload, bad.properties);
    if (parsed.ok || parsed.refusal.reason !== spoiler.reason) {
      const got = parsed.ok ? "accepted" : `${parsed.refusal.reason} (${parsed.refusal.detail})`;
      wrong.push(
        `${sample.name}, expected ${spoiler.reason}, got ${got}: ${Buffer.from(bad.payload).toString().slice(0, 200)}`,
      );
    } else counts.set(spoiler.reason, (counts.get(spoiler.reason) ?? 0) + 1);
  }
  expect(wrong).toEqual([]);
  expect([...counts.keys()].sort()).toEqual([...REFUSALS].sort());
});

test("random bytes never throw, and what still passes is a message that could be sent", () => {
  let passed = 0;
  for (let i = 0; i < 2000; i++) {
    const sample = pick(SAMPLES);
    const wire = encodeSample(sample);
    const payload = Buffer.from(wire.payload);
    for (let changes = Math.ceil(random() * 3); changes > 0; changes--) {
      payload[Math.floor(random() * payload.length)] = Math.floor(random() * 128);
    }
    const parsed = parseMessage(wire.topic, payload, wire.properties);
    if (!parsed.ok) {
      expect(REFUSALS).toContain(parsed.refusal.reason);
      continue;
    }
    passed++;
    const again = encodeSample({ ...sample, message: parsed.received.message });
    expect(JSON.parse(Buffer.from(again.payload).toString())).toEqual(JSON.parse(payload.toString()));
  }
  // A letter of a text may change without harm: some pass, and the check above is not empty.
  expect(passed).toBeGreaterThan(10);
});
