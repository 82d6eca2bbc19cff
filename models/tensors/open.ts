import { ByteFile } from "./byte-file.ts";
import { openGguf } from "./gguf.ts";
import { openSafetensors } from "./safetensors.ts";
import type { TensorFile } from "./tensor-file.ts";

/**
 * Opens a file of tensors by what it begins with: GGUF, or safetensors, or the index of a checkpoint in several of these.
 *
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function openTensors(path: string): Promise<TensorFile> {
  const file = await ByteFile.open(path);
  const head = new Uint8Array(Math.min(4, file.sizeBytes));
  try {
    await file.readInto(head, 0);
  } finally {
    await file.close();
  }
  // A safetensors file that begins so would have a header of over a gigabyte.
  return String.fromCharCode(...head) === "GGUF" ? openGguf(path) : openSafetensors(path);
}
