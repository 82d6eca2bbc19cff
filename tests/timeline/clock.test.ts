import { describe, expect, test } from "vitest";
import { RealClock, VirtualClock } from "../../src/core/clock.ts";

describe("virtual clock", () => {
  test("stands at 0 until it is started", async () => {
    const clock = new VirtualClock();
    let woke = false;
    const sleep = clock.sleepUntil(5).then(() => {
      woke = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([clock.nowMs(), woke]).toEqual([0, false]);
    clock.start();
    await sleep;
    expect(clock.nowMs()).toBe(5);
  });

  test("wakes sleepers in order of time, and of lying down within one moment", async () => {
    const clock = new VirtualClock();
    clock.start();
    const woken: string[] = [];
    const sleeper = async (name: string, timeMs: number) => {
      await clock.sleepUntil(timeMs);
      woken.push(`${name}@${clock.nowMs()}`);
    };
    await Promise.all([sleeper("late", 30), sleeper("a", 10), sleeper("b", 10), sleeper("middle", 20)]);
    expect(woken).toEqual(["a@10", "b@10", "middle@20", "late@30"]);
  });

  test("stands still during work, however long it takes the machine", async () => {
    const clock = new VirtualClock();
    clock.start();
    const sleep = clock.sleepUntil(1);
    const seenMs = await clock.during(
      new Promise<number>((resolve) => setTimeout(() => resolve(clock.nowMs()), 30)),
    );
    expect(seenMs).toBe(0);
    await sleep;
    expect(clock.nowMs()).toBe(1);
  });

  test("goes on after work that failed", async () => {
    const clock = new VirtualClock();
    clock.start();
    await expect(clock.during(Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    await clock.sleepUntil(7);
    expect(clock.nowMs()).toBe(7);
  });

  test("an aborted sleeper neither wakes nor moves time", async () => {
    const clock = new VirtualClock();
    clock.start();
    const abort = new AbortController();
    const sleep = clock.sleepUntil(100, abort.signal);
    abort.abort(new Error("enough"));
    await expect(sleep).rejects.toThrow("enough");
    await clock.sleepUntil(3);
    expect(clock.nowMs()).toBe(3);
  });

  test("pass wakes those whose time comes on the way, at their time", async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const sleep = clock.sleepUntil(40).then(() => seen.push(clock.nowMs()));
    await clock.pass(100);
    await sleep;
    expect([...seen, clock.nowMs()]).toEqual([40, 100]);
  });
});

describe("real clock", () => {
  test("counts from its start, whatever the machine's origin", () => {
    let machineMs = 5000;
    const clock = new RealClock(() => machineMs);
    machineMs = 6000;
    expect(clock.nowMs()).toBe(0);
    clock.start();
    machineMs = 6012.5;
    clock.start();
    expect(clock.nowMs()).toBe(12.5);
  });

  test("never wakes early and seldom late", async () => {
    const clock = new RealClock();
    clock.start();
    for (const timeMs of [1, 3.5, 20, 41.2]) {
      await clock.sleepUntil(timeMs);
      expect(clock.nowMs()).toBeGreaterThanOrEqual(timeMs);
    }
  });

  test("a sleeper of before the start wakes after it, or on its signal", async () => {
    const clock = new RealClock();
    const abort = new AbortController();
    const aborted = clock.sleepUntil(5, abort.signal);
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    const sleep = clock.sleepUntil(5);
    clock.start();
    await sleep;
    expect(clock.nowMs()).toBeGreaterThanOrEqual(5);
  });
});
