import { expect, test } from "vitest";
import { describeWithBroker } from "../reasoner/parts/mosquitto.ts";
import { soak } from "./reasoner.ts";

describeWithBroker("tasks under broker restarts, killed workers and cut links", () => {
  // The full measure is a command of its own: see tests/soak/reasoner.ts.
  test("none is lost, none answered twice, no word out of order", { timeout: 900_000 }, async () => {
    const plan = { tasks: 24, devices: 2, workers: 2, restarts: 1, kills: 1, cuts: 4, seed: 1 };
    const tally = await soak(plan);
    expect(tally).toMatchObject({
      given: 24,
      results: 24,
      failed: 0,
      lost: 0,
      duplicated: 0,
      wrong: 0,
      outOfOrder: 0,
    });
  });
});
