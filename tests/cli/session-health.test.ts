import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { profileOf } from "../../src/cli/profile-options.ts";
import { runSession } from "../../src/cli/session.ts";
import { SessionHealth } from "../../src/cli/session-health.ts";
import { serialSchema } from "../../src/config/serial.ts";
import type { Log } from "../../src/core/log.ts";
import { ScriptedModel, scriptedParts } from "./scripted-model.ts";

const quiet: Log = { write: () => {} };

test("nobody asks: there is none", async () => {
  expect(await SessionHealth.open(profileOf({}), 200, quiet)).toBeNull();
});

test("is ready while steps end, and gives the figures of the session", async () => {
  let base = "";
  const log: Log = {
    write: (_level, _part, message) => {
      base = message.split("/metrics")[0]!;
    },
  };
  const health = (await SessionHealth.open(profileOf({ healthPort: 0 }), 200, log))!;
  onTestFinished(() => health.close());
  const get = async (path: string) => {
    const response = await fetch(`${base}${path}`);
    return { status: response.status, text: await response.text() };
  };
  expect(base).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(await get("/healthz")).toEqual({ status: 200, text: "ok\n" });
  expect(await get("/readyz")).toEqual({ status: 503, text: "no micro-turn has been taken in yet\n" });
  const output = { index: 0, tokens: [], parts: [] };
  const input = { index: 0, startMs: 0, durationMs: 200, audio: null, frames: [], events: [] };
  health.step({ inputs: [input], output, savings: [], stepMs: 12, late: false });
  expect(await get("/readyz")).toEqual({ status: 200, text: "ready\n" });
  expect((await get("/metrics")).text).toContain("microturn_micro_turns_total 1\n");
});

test("shows what the parts of a session count, the line to its board among them", async () => {
  let base = "";
  const log: Log = {
    write: (_level, part, message) => {
      if (part === "health") base = message.split("/metrics")[0]!;
    },
  };
  const profile = profileOf({
    clock: "virtual",
    duration: 2,
    serial: serialSchema.parse({ port: "fake" }),
    text: [{ seconds: 0.5, text: "talk" }],
    healthPort: 0,
  });
  const health = (await SessionHealth.open(profile, 200, log))!;
  onTestFinished(() => health.close());
  await runSession(
    {
      profile,
      model: new ScriptedModel(),
      parts: scriptedParts(),
      observers: [health],
      watch: (gauges) => health.watch(gauges),
      log,
    },
    new AbortController().signal,
  );
  const metrics = await (await fetch(`${base}/metrics`)).text();
  expect(metrics).toContain('microturn_serial_total{what="connects"} 1\n');
  expect(metrics).toContain('microturn_serial_total{what="badFrames"} 0\n');
  expect(metrics).toContain('microturn_queue_items{queue="phrases"} 0\n');
  expect(metrics).toContain("microturn_speaker_underruns_total 0\n");
  expect(metrics).toMatch(/microturn_reaction_seconds_count 1\n/);
});

test("a port that is taken is a named fault", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await expect(SessionHealth.open(profileOf({ healthPort: port }), 200, quiet)).rejects.toThrow(
    new RegExp(`health port ${port}: cannot be opened.*Give another port`),
  );
});
