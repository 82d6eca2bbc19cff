import { openGpu } from "../../../src/gpu/device.ts";
import { Readback } from "../../../src/gpu/readback.ts";
import { createLanguageModel } from "../gpu/gpu-language-model.ts";
import { createMimi } from "../mimi/mimi.ts";
import type { ParityBackend, ParityWeights } from "./backend.ts";

/** The kernels on this machine's adapter. @throws RuntimeError "gpu-unavailable" where there is none. */
export async function openGpuParity(weights: ParityWeights): Promise<ParityBackend> {
  const gpu = await openGpu();
  return {
    adapter: gpu.adapter.name,
    weights,
    openLanguageModel: (config, tensors, options) =>
      createLanguageModel(gpu, config, tensors, { ...options, format: weights }),
    openCodec: async (config, tensors) => {
      const codec = await createMimi(gpu, config, tensors);
      const latent = new Readback(gpu, codec.latent, 1);
      return {
        codec,
        latent: async () => {
          const encoder = gpu.device.createCommandEncoder({ label: "latent" });
          const ticket = latent.record(encoder);
          gpu.device.queue.submit([encoder.finish()]);
          return new Float32Array(await ticket.read()).slice(0, config.transformer.dim);
        },
      };
    },
    close: () => gpu.close(),
  };
}
