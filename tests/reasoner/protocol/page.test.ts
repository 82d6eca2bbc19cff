import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { z } from "zod";
import { LIMITS } from "../../../src/reasoner/protocol/limits.ts";
import { TASK_ERRORS } from "../../../src/reasoner/protocol/messages.ts";
import { REFUSALS } from "../../../src/reasoner/protocol/parse.ts";
import {
  type Address,
  type Channel,
  controlsFilter,
  requestsFilter,
  topicOf,
} from "../../../src/reasoner/protocol/topics.ts";
import { SCHEMAS } from "../../../src/reasoner/protocol/wire.ts";
import { encodeSample, SAMPLES } from "./samples.ts";

const page = readFileSync(new URL("../../../src/reasoner/protocol/README.md", import.meta.url), "utf8");

/** The rows of the table under `heading`, cells without their back quotes. */
function table(heading: string): string[][] {
  const section = page.split(`## ${heading}\n`)[1]!.split("\n## ")[0]!;
  return section
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(1)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
}

const CHANNELS = Object.keys(SCHEMAS) as Channel[];

test("the page lists every channel with its topic, bound and retention", () => {
  const rows = CHANNELS.map((channel) => {
    const address = { channel, device: "DEVICE", worker: "WORKER" } as Address;
    const topic = topicOf(address).replace("DEVICE", "{device}").replace("WORKER", "{worker}");
    const sample = SAMPLES.find((one) => one.address.channel === channel)!;
    return [
      channel,
      topic,
      `${LIMITS.payloadBytes[channel]} bytes`,
      encodeSample(sample).retain ? "yes" : "no",
    ];
  });
  const listed = table("Topics").map(([channel, topic, , bound, retained]) => [
    channel,
    topic,
    bound,
    retained,
  ]);
  expect(listed.sort()).toEqual(rows.sort());
  expect(page).toContain(requestsFilter("GROUP"));
  expect(page).toContain(controlsFilter("{worker}"));
});

test("the page lists every kind with all of its fields", () => {
  const kinds = CHANNELS.flatMap((channel) => {
    const schema = SCHEMAS[channel] as unknown as { options?: z.ZodObject[]; shape: z.ZodObject["shape"] };
    const shapes = schema.options ? schema.options.map((option) => option.shape) : [schema.shape];
    return shapes.map((shape) => {
      const kind = (shape.kind as unknown as { value: string }).value;
      const fields = Object.keys(shape).filter((field) => field !== "v" && field !== "kind");
      return [channel, kind, fields.sort().join(", ")];
    });
  });
  const listed = table("Messages").map(([channel, kind, fields]) => [
    channel,
    kind,
    fields!.split(", ").sort().join(", "),
  ]);
  expect(listed.sort()).toEqual(kinds.sort());
  // The samples that the fuzzer spoils cover them all.
  const sampled = new Set(SAMPLES.map(({ name }) => name));
  expect([...sampled].sort()).toEqual(
    [...new Set(kinds.map(([channel, kind]) => `${channel} ${kind}`))].sort(),
  );
});

test("the page lists every refusal and every error code", () => {
  expect(table("Refusals").map(([reason]) => reason)).toEqual([...REFUSALS]);
  expect(page).toContain(
    TASK_ERRORS.map((code) => `\`${code}\``)
      .join(", ")
      .replace(/, (?=\S+$)/, ", "),
  );
});

test("the page lists the properties that messages carry", () => {
  const names: Record<string, string> = {
    contentType: "content type",
    expirySeconds: "message expiry interval",
    responseTopic: "response topic",
    correlationData: "correlation data",
    traceparent: "user property traceparent",
  };
  const carried = new Set<string>();
  for (const sample of SAMPLES) {
    for (const property of Object.keys(encodeSample(sample).properties)) {
      carried.add(`${names[property]}: ${sample.address.channel}`);
    }
  }
  const listed = table("MQTT 5 properties").flatMap(([property, where]) =>
    (where === "everywhere" ? CHANNELS : where!.split(", ")).map((channel) => `${property}: ${channel}`),
  );
  // Presence and state may carry a trace context too, but nobody gives them one.
  const expected = [...carried].filter((entry) => !/traceparent: .*-/.test(entry));
  expect([...new Set(listed)].sort()).toEqual(expected.sort());
});
