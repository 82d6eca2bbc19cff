import { expect, it } from "vitest";
import { openGpu } from "../../src/gpu/device.ts";
import { KernelTimes, kernelTimesLine } from "../../src/gpu/kernel-times.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { dispatch, record } from "../../src/gpu/plan.ts";
import { describeOnGpu, input, readBack } from "../kernels/harness.ts";

it("lists kernels by their share", () => {
  const times = new Map([
    ["a", 2],
    ["b", 10],
  ]);
  expect(kernelTimesLine(times)).toBe("b 10.00, a 2.00");
});

describeOnGpu("kernel times", (gpu) => {
  it("are not taken where the device was opened without stamps", () => {
    expect(KernelTimes.create(gpu)).toBeNull();
  });

  it("are the device's own, by pipeline, and change nothing of what is computed", async ({ skip }) => {
    const timed = await openGpu({ features: ["timestamp-query"] });
    try {
      const times = KernelTimes.create(timed);
      if (!times) return skip(`${timed.adapter.name} has no timestamp-query`);
      const values = input(
        timed,
        "values",
        Uint32Array.from({ length: 64 }, (_, i) => i),
      );
      const shader = new URL("./double.wgsl", import.meta.url);
      const pipeline = await createPipeline(timed, { label: "double", shader, bindings: ["readWrite"] });
      const double = dispatch("double", pipeline, bind(timed, pipeline, [values]), () => [1, 1, 1]);
      const encoder = timed.device.createCommandEncoder();
      const passes = times.begin(encoder);
      record(passes, [double, double, double], 1);
      passes.end();
      const ticket = times.record(encoder, passes);
      timed.device.queue.submit([encoder.finish()]);
      const read = await ticket.read();
      await timed.settle();
      expect(passes.labels).toEqual(["double", "double", "double"]);
      expect([...read.keys()]).toEqual(["double"]);
      expect(read.get("double")).toBeGreaterThanOrEqual(0);
      const doubled = new Uint32Array(await readBack(timed, values));
      expect([doubled[0], doubled[1], doubled[5]]).toEqual([0, 8, 40]);
    } finally {
      timed.close();
    }
  });
});
