import { readFile } from "node:fs/promises";
import type { MatrixFormat } from "../../../kernels/matrix.ts";
import { RuntimeError } from "../../../src/core/errors.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { openTensors } from "../../tensors/open.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import type { MoshiFiles } from "../files.ts";
import { parseMimiConfig, RELEASED_MIMI } from "../mimi/config.ts";
import { createMimi, type Mimi } from "../mimi/mimi.ts";
import { SentencePiece } from "../sentencepiece/sentencepiece.ts";
import { openPublished } from "../tensor-names.ts";

/** How the layers' matrices are held; "as-stored" takes the nearest to what the file holds. */
export type HeldWeights = MatrixFormat | "as-stored";

/** The language model's tensors under their published names, adapters merged. To be closed. */
export function openLanguageModel({ model, adapters, config }: MoshiFiles): Promise<TensorFile> {
  return openPublished(model, {
    ...(config.depth ? { schedule: config.depth.schedule } : {}),
    ...(adapters === null ? {} : { adapters: { path: adapters, scaling: config.loraScaling } }),
  });
}

/** @throws RuntimeError "invalid-checkpoint" for a tokenizer that lacks pieces which the language model puts out. */
export async function openTokenizer({ tokenizer: path, config }: MoshiFiles): Promise<SentencePiece> {
  const tokenizer = await SentencePiece.open(path);
  if (tokenizer.size < config.textCardOut) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "tokenizer",
      problem: `${path} has ${tokenizer.size} pieces, expected the language model's ${config.textCardOut}`,
    });
  }
  return tokenizer;
}

/** Brings the codec to the device. @param nCodebooks Those to use: as many as the language model hears or speaks with. */
export async function openCodec(
  gpu: Gpu,
  { mimi, mimiConfig }: MoshiFiles,
  nCodebooks: number,
): Promise<Mimi> {
  const mimiSizes =
    mimiConfig === null ? RELEASED_MIMI : parseMimiConfig(await readFile(mimiConfig, "utf8"), mimiConfig);
  const tensors = await openTensors(mimi);
  try {
    return await createMimi(gpu, mimiSizes, tensors, { nCodebooks });
  } finally {
    await tensors.close();
  }
}

/** The nearest to what the first layer's matrices are stored in that there is a kernel for. */
export function formatOf({ tensors }: TensorFile, weights: HeldWeights): MatrixFormat {
  if (weights !== "as-stored") return weights;
  const stored = [...tensors.values()].find(({ name }) => /layers\.0\.self_attn\.in_proj/.test(name))?.dtype;
  if (stored === "F32") return "f32";
  if (stored?.startsWith("Q4") || stored?.startsWith("Q5")) return "q4";
  return stored?.startsWith("Q") || stored === "I8" ? "q8" : "f16";
}
