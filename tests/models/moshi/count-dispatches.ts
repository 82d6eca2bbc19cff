import type { Gpu } from "../../../src/gpu/device.ts";

/** Counts the dispatches that are recorded on a device from now on. @returns how many there were so far. */
export function countDispatches({ device }: Gpu): () => number {
  let count = 0;
  wrap(device, "createCommandEncoder", (encoder) =>
    wrap(encoder, "beginComputePass", (pass) =>
      wrap(pass, "dispatchWorkgroups", () => {
        count++;
      }),
    ),
  );
  return () => count;
}

/** Counts the submissions to a device from now on. @returns how many there were so far. */
export function countSubmissions({ device }: Gpu): () => number {
  let count = 0;
  wrap(device.queue, "submit", () => {
    count++;
  });
  return () => count;
}

/** Has `seen` look at what a method gives, each time that it is called. */
function wrap<T extends object, K extends keyof T>(
  owner: T,
  name: K,
  seen: (given: T[K] extends (...args: never[]) => infer R ? R : never) => unknown,
): void {
  const method = (owner[name] as (...args: unknown[]) => never).bind(owner);
  Object.defineProperty(owner, name, {
    configurable: true,
    value: (...args: unknown[]) => {
      const given = method(...args);
      seen(given);
      return given;
    },
  });
}
