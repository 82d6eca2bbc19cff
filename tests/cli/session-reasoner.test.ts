import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { run } from "../../src/cli/run.ts";
import { openReasoner } from "../../src/cli/session-reasoner.ts";
import { parseProfile } from "../../src/config/profile.ts";
import { DelegatingModel } from "../reasoner/device/delegating-model.ts";
import { answer, ScriptedEndpoint } from "../reasoner/endpoint/scripted-endpoint.ts";
import { CapturedIo } from "./io.ts";
import { scriptedParts } from "./scripted-model.ts";

const folder = mkdtempSync(join(tmpdir(), "microturn-run-reasoner-"));

function profilePath(reasoner: object): string {
  const path = join(folder, `profile-${Math.random()}.yaml`);
  writeFileSync(
    path,
    JSON.stringify({ duration: 60, reasoner, text: [{ seconds: 0, text: "what is a plank?" }] }),
  );
  return path;
}

const outbox = () => ({ folder: mkdtempSync(join(folder, "outbox-")), fsync: "never" });

describe("run with a reasoner in the same process", () => {
  let endpoint: ScriptedEndpoint;
  beforeEach(async () => {
    endpoint = await ScriptedEndpoint.start(() => answer("An exercise ", "for the core."));
    vi.stubEnv("MICROTURN_REASONER_URL", String(endpoint.baseUrl));
    vi.stubEnv("MICROTURN_REASONER_MODEL", "scripted");
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await endpoint.close();
  });

  /** The lines of a session that is ended when the result has been said. */
  async function lines(reasoner: object, ...flags: string[]) {
    const io = new CapturedIo();
    const out = io.out.bind(io);
    io.out = (text) => {
      out(text);
      if (text.includes('"speech"') && text.includes("for the core")) io.interrupt();
    };
    const { command, rest } = findCommand(["run", profilePath(reasoner), "--json", ...flags]);
    const parts = { ...scriptedParts(), loadModel: async () => new DelegatingModel() };
    expect(await run(parseInvocation(command, rest, io), parts)).toBe(0);
    return io.jsonLines();
  }

  test("a typed question is delegated, answered by the endpoint, and the answer said", async () => {
    const told = await lines({ link: "in-process", outbox: outbox() });
    const reasoner = told.filter(({ kind }) => kind === "reasoner");
    expect(reasoner.at(-1)).toMatchObject({
      state: "result",
      about: "what is a plank?",
      text: "An exercise for the core.",
      stale: false,
    });
    expect(reasoner.map(({ state }) => state)).toContain("accepted");
    expect(told.find(({ kind }) => kind === "action")).toMatchObject({
      name: "delegate",
      args: { text: "what is a plank?" },
    });
    expect(told).toContainEqual(
      expect.objectContaining({ kind: "device", device: "reasoner", state: "ready" }),
    );
    expect(endpoint.received).toHaveLength(1);
  });

  test("what was typed before leaves the device only where the profile says so", async () => {
    await lines(
      { link: "in-process", outbox: outbox() },
      "--text",
      "0:how many?",
      "--text",
      "0.6:what is a plank?",
    );
    await lines(
      { link: "in-process", outbox: outbox(), share: { transcript: true } },
      "--text",
      "0:how many?",
      "--text",
      "0.6:what is a plank?",
    );
    const sent = endpoint.received.map(({ body }) => JSON.stringify(body).includes("how many?"));
    expect(sent).toEqual([false, true]);
  });
});

describe("a reasoner that cannot be", () => {
  const open = (reasoner: object, environment: Record<string, string> = {}, changes: object = {}) =>
    openReasoner(
      parseProfile({ reasoner: { outbox: outbox(), ...reasoner }, ...changes }, "test"),
      undefined,
      environment,
    );

  test.each([
    ["in virtual time", { link: "in-process" }, {}, { clock: "virtual" }, /takes real time/],
    ["without a name", { link: "mqtt://localhost" }, {}, {}, /reasoner\.device: is missing/],
    [
      "under two names",
      { link: "mqtt://localhost", device: "a" },
      { MICROTURN_BROKER_USER: "b" },
      {},
      /is not MICROTURN_BROKER_USER/,
    ],
    [
      "with a certificate that is none",
      { link: "mqtts://localhost", device: "a", ca: import.meta.filename },
      {},
      {},
      /not PEM/,
    ],
    [
      "with a file that is not there",
      { link: "mqtts://localhost", device: "a", ca: "/no/such" },
      {},
      {},
      /cannot be read/,
    ],
    ["in this process, with no endpoint", { link: "in-process" }, {}, {}, /MICROTURN_REASONER_URL/],
  ])("%s is refused before anything runs", async (_name, reasoner, environment, changes, message) => {
    await expect(open(reasoner, environment, changes)).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringMatching(message),
    });
  });

  test.each([
    [{ link: "http://localhost" }, /reasoner\.link/],
    [{ device: "a/b" }, /reasoner\.device/],
    [{ certificate: "a.pem" }, /certificate and key go together/],
    [{ share: { everything: true } }, /reasoner\.share/],
    [{ deadlineSeconds: 0 }, /reasoner\.deadlineSeconds/],
  ])("the profile %j is refused", (reasoner, message) => {
    expect(() => parseProfile({ reasoner }, "test")).toThrow(message);
  });

  test("by default there is none, and nothing is shared", async () => {
    const profile = parseProfile({}, "test");
    expect(profile.reasoner).toMatchObject({ link: "none", share: { transcript: false, stills: false } });
    expect(await openReasoner(profile)).toBeNull();
  });
});
