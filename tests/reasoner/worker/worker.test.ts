import { describe, expect, test } from "vitest";
import { answer, finish, text } from "../endpoint/scripted-endpoint.ts";
import { closers, gate, hire, kinds, scene } from "./stage.ts";

describe("back-pressure", () => {
  test("a full worker leaves the group: the rest goes to others, and comes back when there is room", async () => {
    const go = gate();
    const stage = await scene(() => ({ steps: [{ until: go.opened }, ...answer("ok").steps] }));
    const { device } = stage;
    const first = await hire(stage, { id: "w1", concurrency: 1 });
    const second = await hire(stage, { id: "w2", concurrency: 2 });
    for (const task of ["a", "b", "c"]) {
      await device.request({ task });
      await device.reply("accepted", (reply) => reply.task === task);
    }
    expect(first.worker.running).toBe(1);
    expect(second.worker.running).toBe(2);
    expect(await device.request({ task: "d" })).toBe(false);
    go.open();
    for (const task of ["a", "b", "c"]) await device.reply("result", (reply) => reply.task === task);
    expect(await device.request({ task: "d", attempt: 2 })).toBe(true);
    await device.reply("result", (reply) => reply.task === "d");
    expect(device.replies.filter(({ kind }) => kind === "error")).toEqual([]);
  });

  test("what comes while it is leaving is handed back at once", async () => {
    const go = gate();
    const stage = await scene(() => ({ steps: [{ until: go.opened }, ...answer("ok").steps] }));
    await hire(stage, { concurrency: 1 });
    const { device } = stage;
    // In one turn: the broker has given it both before it can leave.
    await Promise.all([device.request({ task: "a" }), device.request({ task: "b" })]);
    expect(await device.reply("error")).toMatchObject({ task: "b", code: "busy", retryable: true, seq: 1 });
    go.open();
    await device.reply("result", ({ task }) => task === "a");
  });
});

describe("nothing is done twice", () => {
  test("the same execution again is dropped, running or ended", async () => {
    const go = gate();
    const stage = await scene(() => ({ steps: [{ until: go.opened }, ...answer("ok").steps] }));
    await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("accepted");
    await device.request();
    go.open();
    await device.reply("result");
    await device.request();
    await device.request({ task: "t2" });
    await device.reply("result", ({ task }) => task === "t2");
    expect(endpoint.received).toHaveLength(2);
    expect(kinds(device.replies).filter((kind) => kind === "accepted")).toHaveLength(2);
  });

  test("a higher attempt takes the place of a lower one, never the other way round", async () => {
    const stage = await scene((_, index) =>
      index === 0 ? { steps: [text("Well, "), { hang: true }] } : answer("ok"),
    );
    await hire(stage);
    const { device, endpoint } = stage;
    await device.request({ attempt: 2 });
    await device.reply("delta");
    await device.request({ attempt: 1 });
    await device.request({ attempt: 3 });
    await endpoint.received[0]!.closed;
    await device.reply("result");
    expect(new Set(device.replies.map(({ attempt }) => attempt))).toEqual(new Set([2, 3]));
    expect(device.replies.findLast(({ attempt }) => attempt === 2)!.kind).toBe("delta");
  });
});

describe("a cut link", () => {
  test("delays replies and loses none", async () => {
    const go = gate();
    const stage = await scene(() => ({
      steps: [text("Well, "), { until: go.opened }, text("yes."), finish()],
    }));
    const { link, worker } = await hire(stage);
    const { device } = stage;
    await device.request();
    await device.reply("delta");
    link.cut();
    expect(worker.unready()).toBe("the broker is not reached");
    go.open();
    await stage.endpoint.received[0]!.closed;
    expect(kinds(device.replies)).not.toContain("result");
    link.mend();
    expect((await device.reply("result")).text).toBe("Well, yes.");
    expect(device.replies.map(({ seq }) => seq)).toEqual(device.replies.map((_, i) => i + 1));
  });
});

describe("draining", () => {
  test("finishes what runs, takes nothing new, says so and leaves", async () => {
    const go = gate();
    const stage = await scene(() => ({ steps: [{ until: go.opened }, ...answer("ok").steps] }));
    const { worker, link } = await hire(stage);
    const { device } = stage;
    await device.request({ task: "a" });
    await device.reply("accepted");
    const drained = worker.drain(60_000);
    await device.until(() => device.presences.get("w1") === "draining");
    expect(worker.unready()).toBe("draining");
    expect(await device.request({ task: "b" })).toBe(false);
    go.open();
    await drained;
    expect(await device.reply("result")).toMatchObject({ task: "a" });
    await device.until(() => device.presences.get("w1") === "offline");
    expect(link.state).toBe("closed");
  });

  test("hands back what does not finish in time", async () => {
    const stage = await scene(() => ({ steps: [{ hang: true }] }));
    const { worker } = await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("accepted");
    await worker.drain(0);
    expect(await device.reply("error")).toMatchObject({ code: "stopping", retryable: true });
    await endpoint.received[0]!.closed;
  });
});

test("what is no message of the protocol is refused by name, counted, and harms nothing", async () => {
  const stage = await scene(() => answer("ok"));
  const { metrics, events } = await hire(stage);
  const intruder = stage.broker.link({ clientId: "intruder", sessionExpirySeconds: 0, receiveMaximum: 10 });
  await new Promise<void>((resolve) => {
    intruder.open({ message: () => {}, state: (state) => state === "up" && resolve() });
  });
  closers.push(() => intruder.close());
  await intruder.publish({
    topic: "microturn/v1/devices/mirror/requests",
    payload: Buffer.from("{secret"),
    qos: 1,
    retain: false,
    properties: { contentType: "application/json" },
  });
  await stage.device.control("w1", { kind: "cancel", task: "nobody", attempt: 1, reason: "dropped" });
  await stage.device.request();
  await stage.device.reply("result");
  const exposition = await metrics.registry.metrics();
  expect(exposition).toContain('messages_refused_total{reason="not-json"} 1');
  expect(exposition).toContain('messages_refused_total{reason="unknown-execution"} 1');
  expect(JSON.stringify(events)).not.toContain("secret");
});
