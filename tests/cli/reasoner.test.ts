import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { ENVIRONMENT } from "../../src/reasoner/endpoint/environment.ts";
import { MqttLink } from "../../src/reasoner/link/mqtt-link.ts";
import type { Reply } from "../../src/reasoner/protocol/messages.ts";
import {
  type Answer,
  answer,
  type Received,
  ScriptedEndpoint,
  text,
} from "../reasoner/endpoint/scripted-endpoint.ts";
import { describeWithBroker, Mosquitto } from "../reasoner/parts/mosquitto.ts";
import { RawDevice } from "../reasoner/worker/raw-device.ts";
import { WorkerProcess } from "../reasoner/worker/worker-process.ts";
import { CapturedIo } from "./io.ts";

/** Two Node processes on a busy machine, ms. */
const STARTS_MS = 180_000;
const KEY = "sk-secret-0123456789";
const folder = mkdtempSync(join(tmpdir(), "microturn-reasoner-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `call` with these variables in place of the process's own. */
async function withEnvironment<T>(variables: Record<string, string>, call: () => Promise<T>): Promise<T> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("MICROTURN_")) delete process.env[name];
  Object.assign(process.env, variables);
  try {
    return await call();
  } finally {
    process.env = before;
  }
}

describe("what an operator may get wrong", () => {
  const right = { MICROTURN_REASONER_URL: "https://api.example.com/v1", MICROTURN_REASONER_MODEL: "m" };
  const notPem = join(folder, "ca.pem");
  writeFileSync(notPem, "hello");
  const broker = ["--broker", "mqtts://127.0.0.1:1"];

  test.each<[string[], Record<string, string>, number, string]>([
    [broker, {}, 78, "MICROTURN_REASONER_URL: is not set"],
    [
      broker,
      { ...right, MICROTURN_REASONER_KEY: "hunter 2" },
      78,
      "MICROTURN_REASONER_KEY: holds a character",
    ],
    [[], right, 2, "--broker is missing"],
    [["--broker", "https://x"], right, 78, "not mqtt://HOST:PORT or mqtts://HOST:PORT"],
    [["--broker", "mqtts://me:hunter2@x"], right, 78, "without credentials"],
    [[...broker, "--concurrency", "0"], right, 2, "--concurrency"],
    [[...broker, "--lease", "0.5"], right, 2, "--lease"],
    [[...broker, "--health-port", "65536"], right, 2, "--health-port"],
    [[...broker, "--group", "a/b"], right, 78, "--group: holds other characters"],
    [[...broker, "--ca", join(folder, "none.pem")], right, 78, "--ca: "],
    [[...broker, "--ca", notPem], right, 78, "is not PEM"],
    [[...broker, "--cert", notPem], right, 78, "--cert"],
  ])("%j", async (args, environment, status, message) => {
    const io = new CapturedIo();
    expect(await withEnvironment(environment, () => main(["reasoner", ...args], io))).toBe(status);
    expect(io.stderr).toContain(message);
    expect(io.stderr).not.toContain("hunter");
    expect(io.stdout).toBe("");
  });

  test("a health port that is taken: status 69", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const port = String((server.address() as { port: number }).port);
    const io = new CapturedIo();
    const status = await withEnvironment(right, () =>
      main(["reasoner", ...broker, "--health-port", port], io),
    );
    expect(status).toBe(69);
    expect(io.stderr).toContain(`health port ${port}: cannot be opened`);
    server.close();
  });
});

test("--help names every variable, and gives an example", async () => {
  const io = new CapturedIo();
  expect(await main(["reasoner", "--help"], io)).toBe(0);
  for (const [name, help] of Object.entries(ENVIRONMENT))
    expect(io.stdout).toMatch(new RegExp(`${name} +${help}`));
  expect(io.stdout).toContain("microturn reasoner --broker mqtts://");
});

describeWithBroker("microturn reasoner on mosquitto, with TLS and access control", () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    broker = await Mosquitto.start({ devices: ["mirror"] });
  });
  afterAll(() => broker?.stop());

  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  async function endpointOf(script: (request: Received, index: number) => Answer): Promise<ScriptedEndpoint> {
    const endpoint = await ScriptedEndpoint.start(script);
    closers.push(() => endpoint.close());
    return endpoint;
  }

  async function deviceOf(): Promise<RawDevice> {
    const device = await RawDevice.join(
      "mirror",
      new MqttLink({ ...RawDevice.linkOptions("mirror"), ...broker.tls("mirror") }),
    );
    closers.push(() => device.close());
    return device;
  }

  function hire(endpoint: ScriptedEndpoint, ...args: string[]): WorkerProcess {
    const { url, username, password, ca } = broker.tls("worker");
    const caPath = join(folder, "broker-ca.pem");
    writeFileSync(caPath, ca!);
    const worker = new WorkerProcess(["--broker", url, "--ca", caPath, ...args], {
      MICROTURN_REASONER_URL: String(endpoint.baseUrl),
      MICROTURN_REASONER_MODEL: "deep-thought",
      MICROTURN_REASONER_KEY: KEY,
      MICROTURN_BROKER_USER: username!,
      MICROTURN_BROKER_PASSWORD: password!,
    });
    closers.push(() => worker.kill("SIGKILL"));
    return worker;
  }

  test("a wrong password: says so, goes on trying, and ends in order when told to", async () => {
    const endpoint = await endpointOf(() => answer("never"));
    const environment = {
      MICROTURN_REASONER_URL: String(endpoint.baseUrl),
      MICROTURN_REASONER_MODEL: "m",
      MICROTURN_BROKER_USER: "worker",
      MICROTURN_BROKER_PASSWORD: "hunter2",
    };
    const io = new CapturedIo();
    const { url } = broker.tcp("worker");
    const status = withEnvironment(environment, () => main(["reasoner", "--json", "--broker", url], io));
    const fault = () => io.jsonLines().find(({ kind }) => kind === "fault");
    while (!fault()) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(fault()!.detail).toMatch(/Not authorized/i);
    io.interrupt();
    expect(await status).toBe(0);
    expect(io.jsonLines().at(-1)).toEqual({ kind: "end", tasks: {} });
    expect(io.stdout + io.stderr).not.toContain("hunter2");
  });

  test("does a task, tells its health, and drains on SIGTERM with status 0", {
    timeout: STARTS_MS,
  }, async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const endpoint = await endpointOf(() => ({
      steps: [text("Well, "), { until: released }, ...answer("yes.").steps],
    }));
    const worker = hire(endpoint, "--health-port", "0");
    const id = await worker.ready();
    const { healthPort } = await worker.line("started");
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${healthPort}${path}`);
      return { status: response.status, text: await response.text() };
    };
    expect(await get("/healthz")).toEqual({ status: 200, text: "ok\n" });
    expect(await get("/readyz")).toEqual({ status: 200, text: "ready\n" });
    expect((await get("/secrets")).status).toBe(404);

    const device = await deviceOf();
    expect(await device.request()).toBe(true);
    await device.reply("delta");
    expect((await get("/metrics")).text).toContain("microturn_reasoner_tasks_running 1");
    worker.kill("SIGTERM");
    await device.until(() => device.presences.get(id) === "draining");
    expect(await get("/readyz")).toEqual({ status: 503, text: "draining\n" });
    expect(await device.request({ task: "t2" })).toBe(false);
    release();
    expect(await device.reply("result")).toMatchObject({ worker: id, text: "Well, yes." });
    expect(await worker.exited).toBe(0);
    expect(worker.lines.at(-1)).toEqual({ kind: "end", tasks: { result: 1 } });
    expect(device.presences.get(id)).toBe("offline");
    expect(endpoint.received[0]!.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(worker.stdout + worker.stderr).not.toContain(KEY);
    expect(worker.stdout + worker.stderr).not.toContain("training");
  });

  test("killed with -9 in mid-task: the other worker takes the task up, and it is answered once", {
    timeout: STARTS_MS,
  }, async () => {
    const endpoint = await endpointOf((_, index) =>
      index === 0 ? { steps: [text("Half an ans"), { hang: true }] } : answer("A whole answer."),
    );
    const workers = [hire(endpoint), hire(endpoint)];
    const ids = await Promise.all(workers.map((worker) => worker.ready()));
    const device = await deviceOf();
    await device.request({ deadlineMs: 60_000 });
    const { worker: first } = await device.reply("delta");
    workers[ids.indexOf(first)]!.kill("SIGKILL");
    await endpoint.received[0]!.closed;
    // What a device does when the worker that it follows is gone: the protocol's page, "What a device does", 5.
    await device.until(() => device.presences.get(first) === "offline");
    await device.request({ attempt: 2 });
    const result = await device.reply("result");
    expect(result).toMatchObject({ attempt: 2, text: "A whole answer." });
    expect(result.worker).toBe(ids[1 - ids.indexOf(first)]);
    // Another task through the same broker and worker: whatever else there was for the first has come before.
    await device.request({ task: "t2" });
    await device.reply("result", ({ task }) => task === "t2");
    const finals = device.replies.filter(({ kind }: Reply) => kind === "result" || kind === "error");
    expect(finals.map(({ task, attempt }) => [task, attempt])).toEqual([
      ["t1", 2],
      ["t2", 1],
    ]);
  });
});
