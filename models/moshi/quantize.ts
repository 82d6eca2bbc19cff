import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { RuntimeError } from "../../src/core/errors.ts";
import { outputFailed } from "../../src/core/output.ts";
import { isRecord } from "../tensors/json.ts";
import { type BlockFormat, type QuantizedTensor, quantizeTensors } from "../tensors/quantize.ts";
import { shardsOf } from "../tensors/sharded.ts";
import { parseMoshiConfig } from "./config.ts";
import { openPublished } from "./tensor-names.ts";

const CONFIG_FILE = "config.json";
const WEIGHTS_FILE = "model.safetensors";
/** What a configuration no longer says: adapters are multiplied out, and `quantize` means bitsandbytes' int8. */
const DROPPED_KEYS = ["lora", "lora_name", "lora_rank", "lora_scaling", "quantize"];

/** The matrices of the layers. Embeddings, norms, heads and conditioners stay as they are: they are small or delicate. */
export function isLayerMatrix(name: string): boolean {
  return /^(llm\.)?((transformer|depformer)\.layers\.\d+\.(self_attn|cross_attention|gating)\.|depformer_in\.\d+\.).*weight$/.test(
    name,
  );
}

/**
 * Writes a copy of a checkpoint folder with the matrices of its layers in blocks: `model.safetensors` under PyTorch's names
 * whatever the layout was, config.json with that name, and every other file as it is. The folder appears whole or not at
 * all.
 *
 * @param to There must be nothing of that name.
 * @param done Called when a tensor has been written.
 * @returns What became of each tensor.
 * @throws RuntimeError "missing-file" or "invalid-checkpoint" for what is read, "invalid-argument" if `to` exists,
 *   "output-failed".
 */
export async function quantizeMoshi(
  from: string,
  to: string,
  options: { format: BlockFormat; done?: (tensor: QuantizedTensor) => void },
): Promise<QuantizedTensor[]> {
  if (await exists(to)) {
    throw new RuntimeError("invalid-argument", {
      part: "models quantize",
      problem: `${to} is there already`,
      remedy: "Name a folder that does not exist yet",
    });
  }
  const json = (await exists(join(from, CONFIG_FILE)))
    ? await readFile(join(from, CONFIG_FILE), "utf8")
    : null;
  const config = parseMoshiConfig(json, join(from, CONFIG_FILE));
  const weights = await weightsOf(join(from, basename(config.files.model)));
  const lora = config.files.lora === null ? null : join(from, basename(config.files.lora));
  const file = await openPublished(weights, {
    ...(config.depth ? { schedule: config.depth.schedule } : {}),
    ...(lora ? { adapters: { path: lora, scaling: config.loraScaling } } : {}),
  });
  try {
    const part = await partFolder(to);
    try {
      const tensors = await quantizeTensors(file, join(part, WEIGHTS_FILE), {
        ...options,
        isChosen: ({ name }) => isLayerMatrix(name),
      });
      const replaced = [weights, ...(await shardsOf(weights)), ...(lora ? [lora] : [])].map((path) =>
        basename(path),
      );
      await copyOthers(from, part, [...replaced, CONFIG_FILE]);
      if (json !== null) await writeFile(join(part, CONFIG_FILE), rewritten(json));
      await rename(part, to);
      return tensors;
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw error instanceof RuntimeError ? error : outputFailed(to, error as NodeJS.ErrnoException);
    }
  } finally {
    await file.close();
  }
}

/** A file of weights, or the index of several where it stands in the place of that file. */
async function weightsOf(path: string): Promise<string> {
  const index = `${path}.index.json`;
  return !(await exists(path)) && (await exists(index)) ? index : path;
}

/** A new folder beside the place of the finished one. */
async function partFolder(to: string): Promise<string> {
  try {
    await mkdir(dirname(to), { recursive: true });
    return await mkdtemp(`${to}.part-`);
  } catch (cause) {
    throw outputFailed(to, cause as NodeJS.ErrnoException);
  }
}

/** Everything but hidden files, such as the lock of what was pulled, and what is written anew. */
async function copyOthers(from: string, to: string, replaced: readonly string[]): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || replaced.includes(entry.name) || entry.name === WEIGHTS_FILE) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await cp(source, target, { recursive: true });
    else await copyFile(source, target);
  }
}

function rewritten(json: string): string {
  const config: unknown = JSON.parse(json);
  if (!isRecord(config)) return json;
  for (const key of DROPPED_KEYS) delete config[key];
  return `${JSON.stringify({ ...config, moshi_name: WEIGHTS_FILE }, null, 2)}\n`;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
