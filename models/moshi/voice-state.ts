import { RuntimeError } from "../../src/core/errors.ts";
import { openSafetensors } from "../tensors/safetensors.ts";
import type { MoshiConfig } from "./config.ts";
import { personaPlexCache, type VoiceState } from "./personaplex.ts";

/**
 * Reads a PersonaPlex voice: the published pickle's two tensors under their own names, `embeddings` [frames, 1, 1, dim] and
 * `cache` [1, 1 + nQ, steps], in a safetensors file.
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" for another file, or a voice of another model.
 */
export async function readVoiceState(path: string, config: MoshiConfig): Promise<VoiceState> {
  const { dim } = config.temporal;
  const { rows, capacity } = personaPlexCache(config);
  const file = await openSafetensors(path);
  try {
    const frames = countOf(file.tensors.get("embeddings")?.shape) / dim;
    const isOurs = Number.isInteger(frames) && countOf(file.tensors.get("cache")?.shape) === rows * capacity;
    if (!isOurs || frames === 0) {
      throw new RuntimeError("invalid-checkpoint", {
        part: "voice",
        problem: `${path} is no voice of this model: expected embeddings of ${dim} and a cache of ${rows} x ${capacity}`,
        remedy: "Convert one of the checkpoint's own voices",
      });
    }
    const values = await file.read("embeddings");
    return {
      embeddings: Array.from({ length: frames }, (_, n) => values.slice(n * dim, (n + 1) * dim)),
      cache: Int32Array.from(await file.read("cache")),
    };
  } finally {
    await file.close();
  }
}

/** Elements of a tensor; 0 for one that is absent. */
function countOf(shape: readonly number[] | undefined): number {
  return shape?.reduce((product, length) => product * length, 1) ?? 0;
}
