import { dirname, join } from "node:path";
import { ByteFile } from "./byte-file.ts";
import { invalidCheckpoint } from "./checkpoint-faults.ts";
import { isRecord, parseJson } from "./json.ts";
import { type ElementRange, findTensor, type StoredTensorFile } from "./ranges.ts";
import type { TensorEntry } from "./tensor-file.ts";

/** Bytes of an index: as many tensors as a header may name. */
const MAX_INDEX_BYTES = 4 * 2 ** 20;
/** Each holds a file open. */
const MAX_SHARDS = 256;

/** An index must not reach out of its folder. */
const PLAIN_NAME = /^[\w@+-][\w.@+-]*$/;

/** The files that an index names; none for a file that is no index. */
export async function shardsOf(path: string): Promise<string[]> {
  if (!isIndex(path)) return [];
  const places = await readIndex(path);
  return [...new Set(places.map(([, name]) => name))].map((name) => join(dirname(path), name));
}

/** Whether a path is that of an index, by its ending. */
export function isIndex(path: string): boolean {
  return path.endsWith(".index.json");
}

/**
 * Opens every file that an index names, as one.
 *
 * @param path The index: `{"weight_map": {tensor: file beside it}}`.
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function openSharded(
  path: string,
  open: (path: string) => Promise<StoredTensorFile>,
): Promise<StoredTensorFile> {
  const places = await readIndex(path);
  const names = [...new Set(places.map(([, name]) => name))];
  if (names.length > MAX_SHARDS) {
    throw invalidCheckpoint(path, `names ${names.length} files, expected at most ${MAX_SHARDS}`);
  }
  const shards = new Map<string, StoredTensorFile>();
  try {
    for (const name of names) shards.set(name, await open(join(dirname(path), name)));
    return new ShardedFile(path, places, shards);
  } catch (error) {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
    throw error;
  }
}

async function readIndex(path: string): Promise<[tensor: string, file: string][]> {
  const file = await ByteFile.open(path);
  let value: unknown;
  try {
    if (file.sizeBytes > MAX_INDEX_BYTES) {
      throw invalidCheckpoint(path, `is ${file.sizeBytes} bytes long, expected at most ${MAX_INDEX_BYTES}`);
    }
    const json = new Uint8Array(file.sizeBytes);
    await file.readInto(json, 0);
    value = parseJson(json, path, "it");
  } finally {
    await file.close();
  }
  const map = isRecord(value) ? value.weight_map : undefined;
  if (!isRecord(map)) throw invalidCheckpoint(path, "has no weight_map");
  return Object.entries(map).map(([tensor, name]) => {
    if (typeof name === "string" && PLAIN_NAME.test(name)) return [tensor, name];
    throw invalidCheckpoint(path, `places ${tensor} in no plain file name`);
  });
}

class ShardedFile implements StoredTensorFile {
  readonly source: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #shards: readonly StoredTensorFile[];
  readonly #shardOf = new Map<string, StoredTensorFile>();

  constructor(
    source: string,
    places: readonly (readonly [tensor: string, file: string])[],
    shards: ReadonlyMap<string, StoredTensorFile>,
  ) {
    const tensors = new Map<string, TensorEntry>();
    for (const [name, file] of places) {
      const shard = shards.get(file)!;
      tensors.set(name, findTensor(shard, name));
      this.#shardOf.set(name, shard);
    }
    this.source = source;
    this.tensors = tensors;
    this.#shards = [...shards.values()];
  }

  async read(name: string, range?: ElementRange): Promise<Float32Array> {
    findTensor(this, name);
    return this.#shardOf.get(name)!.read(name, range);
  }

  async readStored(name: string, range?: ElementRange): Promise<Uint8Array> {
    findTensor(this, name);
    return this.#shardOf.get(name)!.readStored(name, range);
  }

  async close(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }
}
