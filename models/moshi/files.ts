import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { RuntimeError } from "../../src/core/errors.ts";
import { assumedModel, type MoshiConfig, parseMoshiConfig } from "./config.ts";
import { openPublished } from "./tensor-names.ts";
import { PROJECTION } from "./vision/config.ts";

/** A folder of a released checkpoint, and what its configuration says. Paths are absolute or relative as the folder's was. */
export interface MoshiFiles {
  directory: string;
  config: MoshiConfig;
  /** What the model is for: PersonaPlex is a Moshi by its configuration. */
  kind: MoshiConfig["modelType"] | "personaplex";
  /** config.json; null where there is none. */
  configFile: string | null;
  /** The language model: safetensors, the index of several of them, or GGUF. */
  model: string;
  /** What holds the image encoder of a model that sees: the same file, or one beside it; null where there is none. */
  vision: string | null;
  /** Low-rank adapters of it; null for none. */
  adapters: string | null;
  mimi: string;
  /** Null for the released codec, which comes without one. */
  mimiConfig: string | null;
  /** A SentencePiece `.model`. */
  tokenizer: string;
}

/** Folder of a checkpoint's voices, and how their files' names end. */
export const VOICES_FOLDER = "voices";
export const VOICE_SUFFIX = ".safetensors";

const CONFIG_FILE = "config.json";
const MIMI_CONFIG_FILE = "mimi_config.json";
/** The codec's names in the released repositories. */
const MIMI_FILE = /^(mimi|tokenizer)[^/]*\.safetensors$/;
/** Beside a quantised MoshiVis, whose image encoder is not. */
const VISION_FILE = /_vision_tower_unquant\.safetensors$/;
const MODEL_FILE = /\.(safetensors|safetensors\.index\.json|gguf)$/;

/**
 * Finds the files of a checkpoint as it was published: by the names in its config.json, an `hf://` address by its last
 * part; by their usual names where it says nothing.
 *
 * @throws RuntimeError "invalid-checkpoint" naming the file that is missing, or the field that is wrong.
 */
export async function findMoshiFiles(directory: string): Promise<MoshiFiles> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw fault(directory, "is no folder that can be read", cause);
  });
  const pick = (what: string, named: string | null, usual: (name: string) => boolean): string => {
    const wanted = named === null ? null : basename(named);
    if (wanted !== null && names.includes(wanted)) return join(directory, wanted);
    const found = names.filter(usual);
    if (found.length === 1) return join(directory, found[0]!);
    const problem = found.length === 0 ? `there is no ${what}` : `${found.join(" or ")} may be the ${what}`;
    throw fault(directory, wanted === null ? problem : `${problem}: config.json names ${wanted}`);
  };
  const hasConfig = names.includes(CONFIG_FILE);
  const configPath = join(directory, CONFIG_FILE);
  const json = hasConfig ? await readFile(configPath, "utf8") : null;
  const source = hasConfig ? configPath : directory;
  const { files } = parseMoshiConfig(json, source);
  const model = pick("language model", files.model, isLanguageModel(names));
  // Under the names of PyTorch's release, whichever this is.
  const tensors = await openPublished(model);
  await tensors.close();
  const config = parseMoshiConfig(json, source, assumedModel(tensors.tensors.keys()));
  const kind = config.modelType === "moshi" && config.nQ === config.depQ ? "personaplex" : config.modelType;
  return {
    directory,
    config,
    kind,
    configFile: hasConfig ? configPath : null,
    model,
    vision: visionFile(directory, names, model, config, tensors.tensors),
    adapters: files.lora === null ? null : pick("file of adapters", files.lora, () => false),
    mimi: pick("Mimi codec", files.mimi, (name) => MIMI_FILE.test(name)),
    mimiConfig: names.includes(basename(files.mimiConfig ?? MIMI_CONFIG_FILE))
      ? join(directory, basename(files.mimiConfig ?? MIMI_CONFIG_FILE))
      : null,
    tokenizer: pick("SentencePiece tokenizer", files.tokenizer, (name) => name.endsWith(".model")),
  };
}

/** An index stands for the files that it names. */
function isLanguageModel(names: readonly string[]): (name: string) => boolean {
  const hasIndex = names.some((name) => name.endsWith(".index.json"));
  return (name) =>
    MODEL_FILE.test(name) &&
    !MIMI_FILE.test(name) &&
    !VISION_FILE.test(name) &&
    (!hasIndex || name.endsWith(".index.json"));
}

function visionFile(
  directory: string,
  names: readonly string[],
  model: string,
  { crossAttention }: MoshiConfig,
  tensors: { has(name: string): boolean },
): string | null {
  if (crossAttention !== "gated") return null;
  const beside = names.find((name) => VISION_FILE.test(name));
  if (beside !== undefined) return join(directory, beside);
  return tensors.has(PROJECTION) ? model : null;
}

function fault(directory: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-checkpoint", {
    part: `moshi:${directory}`,
    problem,
    remedy:
      "Give a folder as it was published: language model, Mimi and tokenizer, with config.json if it has one",
    cause,
  });
}
