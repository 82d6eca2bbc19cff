import { messageOf, RuntimeError } from "../core/errors.ts";
import { stderrLog } from "../core/log.ts";
import { type Gpu, type GpuOptions, openGpu } from "./device.ts";

/** True for the loss of a device: what ran on it can be built again on another one. */
export function isDeviceLoss(error: unknown): error is RuntimeError {
  return error instanceof RuntimeError && error.code === "gpu-device-lost";
}

/** Opens a device and builds on it; a device on which that fails is closed. @throws as `openGpu` and `build` do. */
export async function buildOnDevice<Built>(
  options: GpuOptions,
  build: (gpu: Gpu) => Promise<Built>,
): Promise<Built> {
  const gpu = await openGpu(options);
  try {
    return await build(gpu);
  } catch (error) {
    gpu.close();
    throw error;
  }
}

/**
 * Builds anew what a device was lost with, and logs how long it took.
 *
 * @param rebuild resolves to what the log says after the time; "" for nothing.
 * @throws RuntimeError "gpu-device-lost" of `part`, with the reason of the loss and of the failure.
 */
export async function rebuildAfterLoss(
  { part, loss, remedy }: { part: string; loss: RuntimeError; remedy?: string },
  rebuild: () => Promise<string>,
): Promise<void> {
  const beganMs = performance.now();
  let detail: string;
  try {
    detail = await rebuild();
  } catch (cause) {
    throw new RuntimeError("gpu-device-lost", {
      part,
      problem: `${loss.message}; it could not be rebuilt: ${messageOf(cause)}`,
      ...(remedy === undefined ? {} : { remedy }),
      cause,
    });
  }
  const tookMs = Math.round(performance.now() - beganMs);
  stderrLog.write("warning", part, `the device was lost; rebuilt in ${tookMs} ms${detail}`);
}
