import { RuntimeError } from "../../src/core/errors.ts";
import type { BackendOptions, NativeBackend } from "./backend.ts";

export type BackendChoice = "auto" | "gpu" | "cpu";

/** A running backend and why it is that one: "the adapter is real hardware". */
export interface ChosenBackend {
  backend: NativeBackend;
  reason: string;
}

/** What a machine offers. A test puts others in. */
export interface Backends {
  /** The hardware adapter's name. @throws RuntimeError "gpu-unavailable" if there is none but a rasteriser. */
  hardwareAdapter(): Promise<string>;
  gpu(options: BackendOptions): Promise<NativeBackend>;
  cpu(options: BackendOptions): Promise<NativeBackend>;
}

/** The two that ship, each loaded when it is wanted: a machine without one of the libraries still runs the other. */
const shippedBackends: Backends = {
  async hardwareAdapter() {
    const { openGpu } = await import("../../src/gpu/device.ts");
    const gpu = await openGpu({ adapter: "hardware" });
    gpu.close();
    return gpu.adapter.name;
  },
  async gpu(options) {
    const { createGpuBackend } = await import("./gpu/gpu-backend.ts");
    return createGpuBackend(options);
  },
  async cpu(options) {
    const { createCpuBackend } = await import("./cpu/cpu-backend.ts");
    return createCpuBackend(options);
  },
};

/**
 * Starts the backend that was asked for; "auto" takes the GPU where the adapter is real hardware and works, and the CPU
 * where it is a software rasteriser or absent.
 *
 * @throws RuntimeError "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory" if the GPU was asked for by name.
 */
export async function chooseBackend(
  choice: BackendChoice,
  options: BackendOptions,
  backends: Backends = shippedBackends,
): Promise<ChosenBackend> {
  if (choice === "cpu") return { backend: await backends.cpu(options), reason: "asked for" };
  if (choice === "gpu") return { backend: await backends.gpu(options), reason: "asked for" };
  try {
    await backends.hardwareAdapter();
    return { backend: await backends.gpu(options), reason: "the adapter is real hardware" };
  } catch (error) {
    if (!(error instanceof RuntimeError) || !error.code.startsWith("gpu-")) throw error;
    return { backend: await backends.cpu(options), reason: error.problem };
  }
}
