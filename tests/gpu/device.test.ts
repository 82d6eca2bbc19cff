import { expect, it } from "vitest";
import { RuntimeError } from "../../src/core/errors.ts";
import { createBuffer, uploadBuffer } from "../../src/gpu/buffers.ts";
import { openGpu } from "../../src/gpu/device.ts";
import { createPipeline } from "../../src/gpu/pipeline.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { describeOnGpu, input, readBack } from "../kernels/harness.ts";

async function failure(promise: Promise<unknown>): Promise<RuntimeError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RuntimeError);
  return error as RuntimeError;
}

describeOnGpu("device", (gpu) => {
  it("describes its adapter", () => {
    expect(gpu.adapter.name).not.toBe("");
    expect(typeof gpu.adapter.isSoftware).toBe("boolean");
  });

  it("reads back what was written, unaligned lengths included", async () => {
    const view = input(gpu, "bytes", Uint8Array.of(1, 2, 3, 4, 5));
    expect([...new Uint8Array(await readBack(gpu, view))].slice(0, 8)).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  });

  it("refuses a buffer that is too large, by name", () => {
    const make = () => createBuffer(gpu, { label: "layers.0.qkv", sizeBytes: 2 ** 40 });
    expect(make).toThrow(/layers\.0\.qkv: takes \d+ bytes/);
  });

  it("names file, line and column of a shader error", async () => {
    const shader = new URL("./broken.wgsl", import.meta.url);
    const error = await failure(createPipeline(gpu, { label: "broken", shader, bindings: ["readWrite"] }));
    expect(error.code).toBe("gpu-compile");
    expect(error.message).toMatch(/^broken: broken\.wgsl:4:\d+ .*cannot convert/);
    gpu.throwIfFailed();
  });

  it("reports an override constant that the shader does not have", async () => {
    const shader = new URL("./double.wgsl", import.meta.url);
    const constants = { no_such_constant: 1 };
    const error = await failure(
      createPipeline(gpu, { label: "double", shader, bindings: ["readWrite"], constants }),
    );
    expect(error.code).toBe("gpu-compile");
    expect(error.message).toContain("no_such_constant");
  });

  it("reports a missing shader", async () => {
    const shader = new URL("./absent.wgsl", import.meta.url);
    const error = await failure(createPipeline(gpu, { label: "absent", shader, bindings: [] }));
    expect(error.code).toBe("missing-file");
  });

  it("compiles a shader once", async () => {
    const spec = {
      label: "double",
      shader: new URL("./double.wgsl", import.meta.url),
      bindings: ["readWrite"],
    } as const;
    const first = await createPipeline(gpu, spec);
    const count = gpu.created.pipelines;
    expect(await createPipeline(gpu, spec)).toBe(first);
    expect(gpu.created.pipelines).toBe(count);
  });

  it("gives a full readback ring a name", () => {
    const readback = new Readback(gpu, input(gpu, "tokens", Uint32Array.of(1)), 1);
    const encoder = gpu.device.createCommandEncoder();
    readback.record(encoder);
    expect(() => readback.record(encoder)).toThrow(/tokens: the readback ring is full/);
  });

  it("turns the device's loss into a typed error", async () => {
    const doomed = await openGpu();
    const view = uploadBuffer(doomed, { label: "tokens" }, Uint32Array.of(7));
    const readback = new Readback(doomed, view);
    const encoder = doomed.device.createCommandEncoder();
    const ticket = readback.record(encoder);
    doomed.device.queue.submit([encoder.finish()]);
    doomed.device.destroy();
    expect((await failure(ticket.read())).code).toBe("gpu-device-lost");
    expect((await doomed.lost).code).toBe("gpu-device-lost");
    expect((await failure(doomed.settle())).code).toBe("gpu-device-lost");
  });

  it("reports a validation error by the name of what was made", async () => {
    const own = await openGpu();
    own.check("layers.3.qkv", () => own.device.createBuffer({ size: 16, usage: 0 }));
    const error = await failure(own.settle());
    expect(error.part).toBe("layers.3.qkv");
    own.close();
  });

  it("says what to do without an adapter", async () => {
    const error = await failure(openGpu({ adapterName: "no such adapter" }));
    expect(error.code).toBe("gpu-unavailable");
    expect(error.message).toContain("--backend cpu");
  });
});
