import { expect, test } from "vitest";
import { Inbox } from "../../../src/reasoner/device/inbox.ts";
import type { Delivery } from "../../../src/reasoner/link/link.ts";

function delivery(onAcknowledge: () => void = () => {}): Delivery {
  return {
    topic: "t",
    payload: new Uint8Array(),
    properties: {},
    retained: false,
    redelivered: false,
    acknowledge: onAcknowledge,
  };
}

test("takes messages in order, and acknowledges each when it has been taken", async () => {
  const log: string[] = [];
  const inbox = new Inbox(({ delivery: { topic } }) => log.push(`taken ${topic}`));
  for (const topic of ["a", "b", "c"]) {
    inbox.push({ ...delivery(() => log.push(`acknowledged ${topic}`)), topic });
  }
  expect(log).toEqual([]);
  await expect.poll(() => log.length).toBe(6);
  expect(log).toEqual(["a", "b", "c"].flatMap((topic) => [`taken ${topic}`, `acknowledged ${topic}`]));
});

test("a flood costs a bounded number of looks; what does not fit is acknowledged and counted", async () => {
  let nowMs = 0;
  let taken = 0;
  let acknowledged = 0;
  const inbox = new Inbox(
    () => taken++,
    () => nowMs,
  );
  const second = async () => {
    for (let i = 0; i < 10_000; i++) inbox.push(delivery(() => acknowledged++));
    for (let i = 0; i < 200; i++) await new Promise(setImmediate);
    nowMs += 1000;
    await new Promise((resolve) => setTimeout(resolve, 60));
  };
  for (let i = 0; i < 5; i++) await second();
  // 200 a second and the 200 that a rest had saved up.
  expect(taken).toBeGreaterThanOrEqual(800);
  expect(taken).toBeLessThanOrEqual(200 + 5 * 200);
  expect(inbox.dropped).toBeGreaterThan(48_000);
  // What waits is held back at the broker; all else has been settled.
  expect(50_000 - acknowledged).toBeLessThanOrEqual(256);
  inbox.close();
});
