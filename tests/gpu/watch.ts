/** Notes in `calls` each call of a method that objects of the kind of `sample` have. @returns what undoes it. */
export function watch(calls: string[], sample: object, names: RegExp): () => void {
  const prototype = Object.getPrototypeOf(sample) as object;
  const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype)).filter(
    ([name, { value }]) => typeof value === "function" && names.test(name),
  );
  for (const [name, descriptor] of methods) {
    const method = descriptor.value as (...args: unknown[]) => unknown;
    const value = function (this: object, ...args: unknown[]): unknown {
      calls.push(name);
      return method.apply(this, args);
    };
    Object.defineProperty(prototype, name, { ...descriptor, value });
  }
  return () => {
    for (const [name, descriptor] of methods) Object.defineProperty(prototype, name, descriptor);
  };
}
