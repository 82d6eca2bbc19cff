import { WorkerClient } from "../../worker/worker-client.ts";
import type { BackendOptions, InputBlock, NativeBackend } from "../backend.ts";
import type { NativeCalls, Ready, WorkerStart } from "./protocol.ts";

/**
 * Runs a checkpoint on the GPU, in a worker thread.
 *
 * @throws RuntimeError "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory".
 */
export async function createGpuBackend(options: BackendOptions): Promise<NativeBackend> {
  const workerData: WorkerStart = options;
  const url = new URL("./worker-start.mjs", import.meta.url);
  const { client, ready } = await WorkerClient.start<NativeCalls, Ready>({
    url,
    part: "gpu backend",
    workerData,
  });
  return new GpuBackend(client, ready.adapter);
}

class GpuBackend implements NativeBackend {
  readonly kind = "gpu";
  readonly #client: WorkerClient<NativeCalls>;
  #adapter: string;

  constructor(client: WorkerClient<NativeCalls>, adapter: string) {
    this.#client = client;
    this.#adapter = adapter;
  }

  get adapter(): string {
    return this.#adapter;
  }

  async step(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    const { tokens, adapter } = await this.#client.call("step", blocks);
    this.#adapter = adapter;
    return tokens;
  }

  async reset(): Promise<void> {
    await this.#client.call("reset", null);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
