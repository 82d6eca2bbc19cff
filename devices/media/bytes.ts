/** Cuts a byte stream into blocks of one size; what is left over at the end is dropped. Each block is fresh. */
export async function* blocksOf(
  stream: AsyncIterable<Buffer>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array> {
  let block = new Uint8Array(sizeBytes);
  let filled = 0;
  for await (const chunk of stream) {
    for (let used = 0; used < chunk.length; ) {
      const part = chunk.subarray(used, used + sizeBytes - filled);
      block.set(part, filled);
      filled += part.length;
      used += part.length;
      if (filled < sizeBytes) continue;
      yield block;
      block = new Uint8Array(sizeBytes);
      filled = 0;
    }
  }
}

/** Keeps up to `depth` items drawn before they are asked for. Leaving the loop ends the iteration behind it. */
export async function* ahead<T>(items: AsyncGenerator<T>, depth: number): AsyncGenerator<T> {
  const drawn: Promise<IteratorResult<T, unknown>>[] = [];
  try {
    for (;;) {
      while (drawn.length < depth) {
        const next = items.next();
        // It is awaited in its turn; failing before that must not count as unhandled.
        next.catch(() => {});
        drawn.push(next);
      }
      const result = await drawn.shift()!;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    items.return(undefined).catch(() => {});
  }
}
