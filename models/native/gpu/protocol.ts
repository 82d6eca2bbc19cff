import type { BackendOptions, InputBlock } from "../backend.ts";

/** What the worker is started with, as its `workerData`. */
export type WorkerStart = BackendOptions;

/** What the main thread asks of the worker. A lost device may have been replaced by another: each step names its adapter. */
export type NativeCalls = {
  step: { given: readonly InputBlock[]; answer: { tokens: readonly number[]; adapter: string } };
  reset: { given: null; answer: unknown };
};

/** What the worker says of itself once it runs. */
export interface Ready {
  adapter: string;
}
