import type { WireFault } from "./wire-fault.ts";

/** What the main thread can ask of a worker: by name, what it is given and what it answers. Structured clones of both. */
export type Calls = Readonly<Record<string, { given: unknown; answer: unknown }>>;

/** One call on its way to the worker. `close` is every worker's: it ends after its reply. */
export type Call<C extends Calls> =
  | { [K in keyof C & string]: { name: K; given: C[K]["given"] } }[keyof C & string]
  | { name: "close" };

/** What a worker answers to its start and to each call. */
export type Reply = { kind: "answer"; answer: unknown } | { kind: "failed"; fault: WireFault };

/** What carries out the calls, in the worker's thread. */
export type Handlers<C extends Calls> = {
  [K in keyof C]: (given: C[K]["given"]) => Promise<C[K]["answer"]>;
} & {
  close(): Promise<void>;
};
