import { Worker } from "node:worker_threads";
import { messageOf, RuntimeError } from "../../src/core/errors.ts";
import type { Call, Calls, Reply } from "./calls.ts";
import { fromWire, toWire } from "./wire-fault.ts";

export interface WorkerOptions {
  /** The worker's first file, which must be JavaScript: a thread does not take over the loader of the one that starts it. */
  url: URL;
  /** For messages: "gpu backend". */
  part: string;
  /** What the worker is started with. */
  workerData: unknown;
}

/** The main thread's end of a worker that owns a GPU: one call at a time, each answered by one reply. */
export class WorkerClient<C extends Calls> {
  readonly #part: string;
  readonly #worker: Worker;
  /** Settles the call at hand. */
  #pending: ((reply: Reply) => void) | null = null;
  /** Settles with it: `close` may come while a call runs. */
  #settled: Promise<unknown> = Promise.resolve();
  /** Why the worker is gone, once it is. */
  #end: RuntimeError | null = null;

  private constructor({ url, part, workerData }: WorkerOptions) {
    this.#part = part;
    this.#worker = new Worker(url, { name: `microturn ${part}`, workerData, execArgv: [] });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (cause) => this.#fail(cause));
    this.#worker.on("exit", (exitCode) => this.#fail(`the GPU worker ended with code ${exitCode}`));
  }

  /**
   * Starts a worker and waits until it says what it has to say of itself.
   * @throws RuntimeError of the worker's start.
   */
  static async start<C extends Calls, Ready>(
    options: WorkerOptions,
  ): Promise<{ client: WorkerClient<C>; ready: Ready }> {
    const client = new WorkerClient<C>(options);
    const reply = await new Promise<Reply>((resolve) => {
      client.#pending = resolve;
    });
    return { client, ready: answerOf(reply) as Ready };
  }

  /** @throws RuntimeError of the call, "gpu-device-lost" if the worker is gone. */
  async call<K extends keyof C & string>(name: K, given: C[K]["given"]): Promise<C[K]["answer"]> {
    return answerOf(await this.#send({ name, given } as Call<C>));
  }

  /** Lets a call that runs end, then the worker. */
  async close(): Promise<void> {
    await this.#settled;
    if (this.#end) return;
    const ended = new Promise((resolve) => this.#worker.once("exit", resolve));
    answerOf(await this.#send({ name: "close" }));
    await ended;
  }

  async #send(call: Call<C>): Promise<Reply> {
    if (this.#end) throw this.#end;
    if (this.#pending) {
      throw new RuntimeError("invalid-argument", {
        part: this.#part,
        problem: `${call.name} was called before the call before it settled`,
      });
    }
    const reply = new Promise<Reply>((resolve) => {
      this.#pending = resolve;
      this.#worker.postMessage(call);
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
    const part = this.#part;
    this.#end ??= new RuntimeError("gpu-device-lost", { part, problem: messageOf(cause), cause });
    this.#settle({ kind: "failed", fault: toWire(this.#end) });
  }
}

function answerOf(reply: Reply): unknown {
  if (reply.kind === "failed") throw fromWire(reply.fault);
  return reply.answer;
}
