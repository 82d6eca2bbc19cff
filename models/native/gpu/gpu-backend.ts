import { Worker } from "node:worker_threads";
import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import type { BackendOptions, InputBlock, NativeBackend } from "../backend.ts";
import { fromWire, type Reply, type Request, type WorkerStart } from "./protocol.ts";

/**
 * Runs a checkpoint on the GPU, in a worker thread.
 *
 * @throws RuntimeError "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory".
 */
export async function createGpuBackend(options: BackendOptions): Promise<NativeBackend> {
  return GpuBackend.start(options);
}

class GpuBackend implements NativeBackend {
  readonly kind = "gpu";
  readonly #worker: Worker;
  #adapter = "";
  /** Settles the request at hand. */
  #pending: ((reply: Reply) => void) | null = null;
  /** Settles with it: `close` may come while a step runs. */
  #settled: Promise<unknown> = Promise.resolve();
  /** Why the worker is gone, once it is. */
  #end: RuntimeError | null = null;

  private constructor(options: BackendOptions) {
    const workerData: WorkerStart = options;
    this.#worker = new Worker(new URL("./worker-start.mjs", import.meta.url), {
      name: "microturn gpu",
      workerData,
      execArgv: [],
    });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (cause) => this.#fail(cause));
    this.#worker.on("exit", (exitCode) => this.#fail(`the GPU worker ended with code ${exitCode}`));
  }

  static async start(options: BackendOptions): Promise<GpuBackend> {
    const backend = new GpuBackend(options);
    const reply = await new Promise<Reply>((resolve) => {
      backend.#pending = resolve;
    });
    if (reply.kind !== "ready") throw backend.#unexpected(reply);
    backend.#adapter = reply.adapter;
    return backend;
  }

  get adapter(): string {
    return this.#adapter;
  }

  async step(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    const reply = await this.#ask({ kind: "step", blocks });
    if (reply.kind !== "tokens") throw this.#unexpected(reply);
    this.#adapter = reply.adapter;
    return reply.tokens;
  }

  async reset(): Promise<void> {
    const reply = await this.#ask({ kind: "reset" });
    if (reply.kind !== "done") throw this.#unexpected(reply);
  }

  async close(): Promise<void> {
    await this.#settled;
    if (this.#end) return;
    const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
    await this.#ask({ kind: "close" });
    await ended;
  }

  async #ask(request: Request): Promise<Reply> {
    if (this.#end) throw this.#end;
    if (this.#pending) {
      throw new RuntimeError("invalid-argument", {
        part: "gpu backend",
        problem: `${request.kind} was called before the call before it settled`,
      });
    }
    const reply = new Promise<Reply>((resolve) => {
      this.#pending = resolve;
      this.#worker.postMessage(request);
    });
    this.#settled = reply;
    return reply;
  }

  #settle(reply: Reply): void {
    const settle = this.#pending;
    this.#pending = null;
    settle?.(reply);
  }

  /** The worker is gone: by `close`, or by a fault that it could not answer. */
  #fail(cause: unknown): void {
    const reason = messageOf(cause);
    this.#end ??= new RuntimeError("gpu-device-lost", { part: "gpu backend", problem: reason, cause });
    const { code, part, message, stack } = this.#end;
    this.#settle({ kind: "failed", fault: { code, part, message, stack } });
  }

  #unexpected(reply: Reply): RuntimeError {
    if (reply.kind === "failed") return fromWire(reply.fault);
    return new RuntimeError("internal", {
      part: "gpu backend",
      problem: `the worker answered ${reply.kind}`,
    });
  }
}
