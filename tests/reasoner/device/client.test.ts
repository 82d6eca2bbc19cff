import { afterEach, describe, expect, test } from "vitest";
import { InProcessBroker } from "../../../src/reasoner/link/in-process.ts";
import { LIMITS } from "../../../src/reasoner/protocol/limits.ts";
import { encodeMessage } from "../../../src/reasoner/protocol/wire.ts";
import { DEVICE, DeviceUnderTest, emptySnapshot, settle } from "./session-setup.ts";

const open: DeviceUnderTest[] = [];
const start: typeof DeviceUnderTest.start = async (...args) => {
  const device = await DeviceUnderTest.start(...args);
  open.push(device);
  return device;
};
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

/** The task is known to nobody but the client: whatever was to be done has been done. */
async function expectNothingLeft(device: DeviceUnderTest): Promise<void> {
  await settle();
  await device.close();
  const next = await start({}, { broker: device.broker, folder: device.folder });
  expect(next.client.counts.tasks).toBe(0);
}

describe("a task", () => {
  test("is given with its context, and its result is told once and in order", async () => {
    const device = await start();
    const worker = await device.worker();
    const snapshot = {
      ...emptySnapshot,
      elapsedMs: 1234,
      transcript: [{ by: "person" as const, timeMs: 1000, text: "why is the sky blue?", heard: true }],
      counts: [{ name: "said", value: 3 }],
      devices: [{ device: "camera", state: "lost" as const }],
    };
    await device.delegate("why is the sky blue", snapshot);
    const request = await worker.request();
    expect(request).toMatchObject({
      attempt: 1,
      text: "why is the sky blue",
      deadlineMs: 100_000,
      followUps: [],
      context: { ...snapshot, v: 1 },
    });
    await worker.accept(request);
    await worker.reply(request, { kind: "progress", text: "reading" });
    await device.pass(200);
    await worker.reply(request, { kind: "delta", offset: 0, text: "Because " });
    await device.pass(200);
    await worker.reply(request, { kind: "delta", offset: 8, text: "of Rayleigh" });
    await device.pass(200);
    await worker.result(request, "Because of Rayleigh scattering.");
    await device.pass(200);
    expect(device.told).toEqual([
      "accepted",
      "progress reading",
      "partial Because",
      "partial of Rayleigh",
      "result Because of Rayleigh scattering.",
    ]);
    expect(device.reasonerEvents.at(-1)).toMatchObject({ about: "why is the sky blue", stale: false });
    expect(new Set(device.reasonerEvents.map(({ task }) => task))).toEqual(new Set([request.task]));
    expect(device.client.counts).toMatchObject({
      tasks: 1,
      results: 1,
      failed: 0,
      seen: 0,
      strangers: 0,
      missing: 0,
    });
    await expectNothingLeft(device);
  });

  test("what was seen is not told again, whatever comes again, and nothing after the result", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const request = await worker.request();
    await worker.accept(request);
    await worker.reply(request, { kind: "ask", ask: "q1", text: "how tall?" });
    await worker.reply(request, { kind: "ask", ask: "q1", text: "how tall?" }, { seq: 2 });
    await worker.reply(request, { kind: "ask", ask: "q1", text: "how tall?" });
    for (let i = 0; i < 3; i++) await worker.reply(request, { kind: "result", text: "42" }, { seq: 4 });
    await device.pass(1000);
    // It came before the model could be told of anything else.
    expect(device.told).toEqual(["result 42"]);
    expect(device.client.counts).toMatchObject({ results: 1, seen: 1, strangers: 2, missing: 0 });
  });

  test("a reply that never came is counted, and one that comes too late for its place is dropped", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const request = await worker.request();
    await worker.accept(request);
    await worker.reply(request, { kind: "progress", text: "fourth" }, { seq: 4 });
    await worker.reply(request, { kind: "progress", text: "third" }, { seq: 3 });
    await device.pass(1000);
    expect(device.told).toEqual(["accepted", "progress fourth"]);
    await worker.reply(request, { kind: "result", text: "done" }, { seq: 5 });
    await device.pass(1000);
    expect(device.client.counts).toMatchObject({ missing: 2, seen: 1, results: 1 });
  });

  test("without an answer fails at its deadline, once, and its worker is told to stop", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    await worker.accept(await worker.request(), 600_000);
    await device.pass(99_000);
    expect(device.told).toEqual(["accepted"]);
    await device.pass(2000);
    expect(device.told).toEqual(["accepted", "failed there was no answer in time"]);
    expect(worker.controls).toMatchObject([{ kind: "cancel", reason: "expired" }]);
    await worker.result(await worker.request(), "too late");
    await device.pass(1000);
    expect(device.told).toHaveLength(2);
    await expectNothingLeft(device);
  });

  test("fails at its deadline also while the link is down", async () => {
    const device = await start();
    device.link.cut();
    await device.delegate("a");
    await device.pass(101_000);
    expect(device.told).toEqual([
      "waiting the reasoner cannot be reached now",
      "failed there was no answer in time",
    ]);
  });

  test("that the person has dropped is cancelled, and nothing more is told of it", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    await worker.accept(await worker.request());
    await device.pass(200);
    device.client.cancel();
    await settle();
    expect(worker.controls).toMatchObject([{ kind: "cancel", reason: "dropped", attempt: 1 }]);
    await worker.result(await worker.request(), "never mind");
    await device.pass(1000);
    expect(device.told).toEqual(["accepted"]);
    await expectNothingLeft(device);
  });

  test("dropped before anyone had it: whoever takes it up is told to stop", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const request = await worker.request();
    device.client.cancel();
    await worker.accept(request);
    await device.pass(1000);
    expect(device.told).toEqual([]);
    expect(worker.controls).toMatchObject([{ kind: "cancel", task: request.task }]);
  });

  test("a failure that cannot be mended is told with the worker's words", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const error = { kind: "error", code: "refused", retryable: false, message: "the model refuses" } as const;
    await worker.accept(await worker.request());
    await worker.reply(await worker.request(), error);
    await device.pass(1000);
    expect(device.told).toEqual(["failed the model refuses"]);
  });

  test("is cut to what the protocol takes", async () => {
    const device = await start();
    const worker = await device.worker();
    const transcript = Array.from({ length: 300 }, (_, i) => ({
      by: "person" as const,
      timeMs: i,
      text: `${i} \u0007${"é".repeat(600)}`,
      heard: true,
    }));
    await device.delegate("x\u0000".repeat(5000), { ...emptySnapshot, transcript });
    const { text, context } = await worker.request();
    expect(text).toBe("x".repeat(LIMITS.chars.task));
    expect(context.transcript).toHaveLength(LIMITS.entries.transcript);
    expect(context.transcript.at(-1)!.text).toMatch(/^299 é+$/);
  });

  test("the seventeenth open task is refused, by an event", async () => {
    const device = await start();
    await device.worker();
    for (let i = 0; i < 17; i++) await device.delegate(`task ${i}`);
    await device.pass(5000);
    expect(device.told.filter((line) => line.startsWith("refused"))).toEqual([
      "refused too many tasks are open",
    ]);
    await device.delegate("   ");
    device.client.answer("7");
    device.client.amend("x", "no-such-task");
    await device.pass(1000);
    expect(device.told.slice(-3)).toEqual([
      "refused the task has no words",
      "refused nothing was asked",
      "refused there is no such task",
    ]);
  });
});

describe("amends and answers", () => {
  test("reach the worker in order, and again until it has confirmed them", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    device.client.amend("before anyone has it");
    await worker.accept(await worker.request());
    await settle();
    await worker.reply(await worker.request(), { kind: "ask", ask: "q1", text: "how tall?" });
    await settle();
    device.client.answer("two metres");
    await expect.poll(() => worker.controls.length).toBe(2);
    const sent = worker.controls.map((control) =>
      control.kind === "cancel" ? "" : `${control.control} ${control.text}`,
    );
    expect(sent).toEqual(["1 before anyone has it", "2 two metres"]);
    expect(worker.controls[1]).toMatchObject({ kind: "answer", ask: "q1", question: "how tall?" });
    // It has confirmed the first with its question; the second comes again, not before it is time.
    await worker.reply(await worker.request(), { kind: "progress" }, { controls: 1 });
    await device.pass(1000);
    expect(worker.controls).toHaveLength(2);
    await device.pass(5000);
    await expect.poll(() => worker.controls.length).toBe(3);
    expect(worker.controls[2]).toMatchObject({ control: 2, text: "two metres" });
    await worker.reply(await worker.request(), { kind: "progress" }, { controls: 2 });
    await device.pass(20_000);
    expect(worker.controls).toHaveLength(3);
  });

  test("a task takes so many and no more", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    await worker.request();
    for (let i = 0; i <= LIMITS.entries.followUps; i++) device.client.amend(`amend ${i}`);
    await device.pass(1000);
    expect(device.told.at(-1)).toBe("refused no more can be added to it");
    expect(device.told.filter((line) => line.startsWith("refused"))).toHaveLength(1);
  });
});

describe("another worker takes a task up", () => {
  test("when the first falls silent for its lease; what it says later is not heard", async () => {
    const device = await start();
    const [first, second] = [await device.worker("first"), await device.worker("second")];
    await device.delegate("a");
    device.client.amend("please");
    await expect.poll(() => first.requests.length + second.requests.length).toBe(1);
    const [has, other] = first.requests.length > 0 ? [first, second] : [second, first];
    await has.accept(has.requests[0]!, 3000);
    await device.pass(200);
    await has.reply(has.requests[0]!, { kind: "delta", offset: 0, text: "the first" });
    await device.pass(2900);
    expect(device.client.counts.takeovers).toBe(0);
    // Whichever of the two it is given to: the next attempt is a new one, with what was added.
    await device.pass(500);
    expect(device.client.counts.takeovers).toBe(1);
    expect(has.controls.at(-1)).toMatchObject({ kind: "cancel", reason: "superseded", attempt: 1 });
    const taker = other.requests.length > 0 ? other : has;
    const request = taker.requests.at(-1)!;
    expect(request).toMatchObject({ attempt: 2, followUps: [{ kind: "amend", control: 1, text: "please" }] });
    await has.result(has.requests[0]!, "from the first attempt");
    await taker.accept(request);
    await taker.result(request, "from the second");
    await device.pass(1000);
    expect(device.told.filter((line) => line.startsWith("result"))).toEqual(["result from the second"]);
    expect(device.client.counts).toMatchObject({ results: 1, strangers: 1 });
    // What the worker had taken in with the request is not sent again.
    expect(taker.controls.filter(({ kind, attempt }) => kind === "amend" && attempt === 2)).toEqual([]);
  });

  test("at once when the first is said to be gone", async () => {
    const device = await start();
    const worker = await device.worker("first");
    await device.delegate("a");
    await worker.accept(await worker.request());
    await settle();
    const gone = encodeMessage(
      { channel: "worker-presence", worker: "first" },
      { v: 1, kind: "presence", state: "offline" },
    );
    const herald = device.broker.link({ clientId: "herald", sessionExpirySeconds: 0, receiveMaximum: 8 });
    herald.open({ message: () => {}, state: () => {} });
    await settle();
    await herald.publish(gone);
    await settle();
    expect(worker.requests.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test("when nobody accepts, with more patience each time", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const times: number[] = [];
    await worker.request();
    worker.onRequest = () => times.push(device.clock.nowMs());
    for (let i = 0; i < 90; i++) await device.pass(1000);
    expect(times).toEqual([10_000, 30_000, 70_000]);
    expect(worker.requests.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
  });

  test("after a pause when the first is busy", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    await worker.request();
    const busy = { kind: "error", code: "busy", retryable: true, message: "hands full" } as const;
    await worker.reply(await worker.request(), busy);
    await device.pass(100);
    expect(worker.requests).toHaveLength(1);
    await device.pass(1000);
    expect(worker.requests.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(device.told).toEqual([]);
  });

  test("one execution is followed: who accepts second is told to stop", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    const request = await worker.request();
    await worker.accept(request);
    await worker.reply(request, { kind: "accepted", leaseMs: 5000 }, { worker: "impostor", seq: 1 });
    await worker.reply(
      request,
      { kind: "result", text: "from the impostor" },
      { worker: "impostor", seq: 2 },
    );
    await worker.reply(request, { kind: "result", text: "right" }, { seq: 2 });
    await device.pass(1000);
    expect(device.told).toEqual(["result right"]);
  });
});

describe("the link", () => {
  test("its state is told; tasks given while it is down go out in order when it is up", async () => {
    const device = await start();
    const worker = await device.worker();
    device.link.cut();
    for (const text of ["one", "two", "three"]) await device.delegate(text);
    await device.pass(1000);
    expect(worker.requests).toEqual([]);
    device.link.mend();
    await device.pass(1000);
    expect(worker.requests.map(({ text }) => text)).toEqual(["one", "two", "three"]);
    const links = device.events.filter(({ kind }) => kind === "device");
    expect(links.map((event) => event.kind === "device" && `${event.device} ${event.state}`)).toEqual([
      "reasoner ready",
      "reasoner lost",
      "reasoner ready",
    ]);
  });

  test("with no reasoner there, a task waits and is given when one comes", async () => {
    const device = await start();
    await device.delegate("a");
    await device.pass(300);
    expect(device.told).toEqual(["waiting no reasoner is there to take it"]);
    const worker = await device.worker();
    await device.pass(3000);
    expect(worker.requests).toMatchObject([{ attempt: 1, text: "a" }]);
    expect(device.told).toHaveLength(1);
  });

  test("a result that waited at the broker is told with its age, and stale", async () => {
    let brokerMs = 0;
    const device = await start({}, { broker: new InProcessBroker(() => brokerMs) });
    const worker = await device.worker();
    await device.delegate("a");
    await worker.accept(await worker.request());
    await device.pass(1000);
    device.link.cut();
    await worker.result(await worker.request(), "old news");
    brokerMs += 30_000;
    device.link.mend();
    await device.pass(1000);
    expect(device.reasonerEvents.at(-1)).toMatchObject({ state: "result", text: "old news", stale: true });
    expect(device.reasonerEvents.at(-1)!.ageMs).toBeGreaterThanOrEqual(30_000);
    expect(device.reasonerEvents[0]).toMatchObject({ state: "accepted", stale: false });
  });

  test("no lease runs while it is down", async () => {
    const device = await start();
    const worker = await device.worker();
    await device.delegate("a");
    await worker.accept(await worker.request(), 3000);
    await settle();
    device.link.cut();
    await device.pass(20_000);
    device.link.mend();
    await device.pass(2000);
    expect(device.client.counts.takeovers).toBe(0);
    await device.pass(2000);
    expect(device.client.counts.takeovers).toBe(1);
  });
});

describe("a session that ended with tasks open", () => {
  test("leaves them to the next, which gives them anew with all that was added", async () => {
    const first = await start();
    const worker = await first.worker();
    await first.delegate("one");
    await worker.accept(await worker.request());
    await settle();
    first.client.amend("in French");
    await first.delegate("two");
    await worker.request(1);
    await first.close();

    const { broker, folder } = first;
    const second = await start({}, { broker, folder });
    await worker.request(3);
    expect(worker.requests.slice(2)).toMatchObject([
      { text: "one", attempt: 2, followUps: [{ control: 1, text: "in French" }] },
      { text: "two", attempt: 2, followUps: [] },
    ]);
    await worker.accept(worker.requests[2]!);
    await worker.result(worker.requests[2]!, "un");
    await second.pass(1000);
    expect(second.reasonerEvents.at(-1)).toMatchObject({ state: "result", text: "un", about: "one" });
    await second.close();

    const third = await start({}, { broker, folder });
    await worker.request(4);
    expect(third.client.counts.tasks).toBe(1);
    expect(worker.requests.at(-1)).toMatchObject({ text: "two", attempt: 3 });
  });

  test("a task whose time is over meanwhile is told as failed", async () => {
    const first = await start({ deadlineMs: 1000 });
    await first.delegate("one");
    await first.close();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const second = await start({}, { broker: first.broker, folder: first.folder });
    await second.pass(1000);
    expect(second.told).toEqual(["failed there was no answer in time"]);
    await expectNothingLeft(second);
  });
});

describe("what is none of the protocol", () => {
  test("is refused by name and never told", async () => {
    const device = await start();
    const herald = device.broker.link({ clientId: "herald", sessionExpirySeconds: 0, receiveMaximum: 8 });
    herald.open({ message: () => {}, state: () => {} });
    await settle();
    const topic = `microturn/v1/devices/${DEVICE}/replies`;
    const properties = { contentType: "application/json", expirySeconds: 5 };
    for (const payload of ["", "{", '{"v":2}', '{"v":1,"kind":"result"}']) {
      await herald.publish({ topic, payload: Buffer.from(payload), qos: 1, retain: false, properties });
    }
    await device.pass(1000);
    expect(device.client.counts.refused).toEqual({ "not-json": 2, "wrong-version": 1, "invalid-payload": 1 });
    expect(device.told).toEqual([]);
    expect(device.logged.join("\n")).toMatch(/refused: not-json/);
  });
});
