import { type LazyTensor, LazyTensorFile, lazyTensors, renamed, stacked } from "../tensors/lazy-tensors.ts";
import { openTensors } from "../tensors/open.ts";
import type { StoredTensorFile } from "../tensors/ranges.ts";
import type { TensorFile } from "../tensors/tensor-file.ts";
import { lowRankUpdates, withUpdates } from "./low-rank.ts";
import { unpackedTensors } from "./packed-weights.ts";

export interface PublishedNamesOptions {
  /**
   * The weight set of each depth step, `depformer_weights_per_step_schedule`. Default: one for each. Layouts other than
   * PyTorch's hold the sets once for every step.
   */
  schedule?: readonly number[];
  /** A file of low-rank adapters, and what they are multiplied by: 2 where the configuration says nothing. */
  adapters?: { file: TensorFile; scaling: number };
}

/**
 * Opens the weights of a model of this family in any of the layouts in which they are published, and gives them under the
 * names and in the fused shapes of the PyTorch release.
 *
 * @param path A safetensors or GGUF file, or an index of several. `adapters` is the path of another such file.
 * @throws RuntimeError "missing-file", or "invalid-checkpoint" with the path and what is wrong.
 */
export async function openPublished(
  path: string,
  { schedule, adapters }: { schedule?: readonly number[]; adapters?: { path: string; scaling: number } } = {},
): Promise<TensorFile> {
  const opened: TensorFile[] = [];
  const open = async (name: string): Promise<TensorFile> => {
    const file = await openTensors(name);
    opened.push(file);
    return file;
  };
  try {
    const file = await open(path);
    const added = adapters && { file: await open(adapters.path), scaling: adapters.scaling };
    return publishedNames(file, { ...(schedule ? { schedule } : {}), ...(added ? { adapters: added } : {}) });
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

/**
 * A file's tensors under the names and in the shapes of the PyTorch release, read from their parts row by row. Layouts are
 * told apart by names: Rust's (`depformer.0.linear_in.weight`), MLX's (`audio_embs.0.weight`) and PyTorch's own, with
 * projections fused or one by one. A name that belongs to none of them stays. Closing what is returned closes the files.
 *
 * @throws RuntimeError "invalid-checkpoint" naming a tensor whose parts do not fit together.
 */
export function publishedNames(file: TensorFile, options: PublishedNamesOptions = {}): TensorFile {
  const named = rename(file.source, tensorsOf(file), options.schedule);
  const { adapters } = options;
  if (!adapters) return new LazyTensorFile(file.source, named, [file]);
  const { source } = adapters.file;
  const updates = lowRankUpdates(source, tensorsOf(adapters.file), adapters.scaling);
  const sums = withUpdates(source, named, rename(source, updates, options.schedule));
  return new LazyTensorFile(file.source, sums, [file, adapters.file]);
}

function tensorsOf(file: TensorFile): Map<string, LazyTensor> {
  return isStored(file) ? unpackedTensors(file) : lazyTensors(file);
}

function isStored(file: TensorFile): file is StoredTensorFile {
  return "readStored" in file;
}

/** Where a tensor belongs: under a name, as one of several blocks of rows where it has a place among them. */
interface Place {
  name: string;
  block?: number;
}

function rename(
  source: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  schedule: readonly number[] | undefined,
): Map<string, LazyTensor> {
  const named = new Map<string, LazyTensor>();
  const blocks = new Map<string, Map<number, LazyTensor>>();
  const isMlx = [...tensors.keys()].some((name) => /^(audio_embs|depformer\.slices)\./.test(name));
  const isBiased = (norm: string): boolean => tensors.has(norm.replace(/weight$/, "bias"));
  for (const [name, tensor] of tensors) {
    const place = placeOf(isMlx ? mlxName(name, isBiased) : visionName(name), schedule);
    if (place === null) continue;
    if (place.block === undefined) named.set(place.name, norm(place.name, tensor));
    else blocks.set(place.name, (blocks.get(place.name) ?? new Map()).set(place.block, tensor));
  }
  for (const [name, parts] of blocks) {
    const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, tensor]) => tensor);
    named.set(name, inOrder.length === 1 ? renamed(inOrder[0]!, name) : stacked(source, name, inOrder));
  }
  return named;
}

/** Under its name; a norm's weights are (1, 1, dim) there, and (dim) elsewhere. */
function norm(name: string, tensor: LazyTensor): LazyTensor {
  const isFlat = name.endsWith(".alpha") && tensor.shape.length === 1;
  return renamed(tensor, name, isFlat ? [1, 1, tensor.shape[0]!] : tensor.shape);
}

/** Null for a tensor that is held more than once and left out but for the first time. */
function placeOf(name: string, schedule: readonly number[] | undefined): Place | null {
  const slice = /^depformer\.(?:slices\.)?(\d+)\.(.+)$/.exec(name);
  return slice ? slicePlace(Number(slice[1]), slice[2]!, schedule) : layerPlace(name);
}

/** MoshiVis has names of its own in PyTorch's release: here they are those of Moshi, as in Rust's. */
function visionName(name: string): string {
  return name
    .replace(/^llm\./, "")
    .replace(/^audio_(emb|linears)\./, "$1.")
    .replace(".cross_attention.mha.", ".cross_attention.");
}

/** @param isBiased Whether a norm of that name has a bias too: then it is a LayerNorm, whose weights keep their name. */
function mlxName(name: string, isBiased: (norm: string) => boolean): string {
  const plain = visionName(name)
    .replace(/^audio_embs\./, "emb.")
    .replace(".cross_attention.gate.alpha.layers.", ".cross_attention.gate.alpha.")
    .replace(/^transformer\.image_prefix\./, "image_prefix.")
    .replace(/^img_embedder\./, "image_prefix.enc.");
  const norm = /^(out_norm|transformer\..*\.norm(?:[12]|_cross)|image_prefix\.norm_xa)\.weight$/.exec(plain);
  return norm && !isBiased(name) ? `${norm[1]}.alpha` : plain;
}

/** Projections of attention under the names that they have in memory, in the files of other tools, and split for MLX and GGUF. */
function layerPlace(name: string, step?: number): Place {
  const part = /^(.*\.cross_attention)\.(q|kv)_proj\.weight$/.exec(name);
  if (part) return { name: `${part[1]}.in_proj_weight`, block: part[2] === "q" ? 0 : 1 };
  const projection =
    /^(.*(?:self_attn|cross_attention))\.(in|out)_proj(s?)([._]weight|\.(\d+)\.weight)(_q|_kv)?$/.exec(name);
  if (!projection) return { name };
  const [, path, side, , , index, half] = projection;
  const fused = `${path}.${side === "in" ? "in_proj_weight" : "out_proj.weight"}`;
  if (step !== undefined) return { name: fused, block: step };
  if (index !== undefined) return { name: fused, block: Number(index) };
  if (half !== undefined) return { name: fused, block: half === "_q" ? 0 : 1 };
  return { name: fused };
}

/** Of depth step `step`, in the layouts that hold the steps one by one. */
function slicePlace(step: number, name: string, schedule: readonly number[] | undefined): Place | null {
  const set = schedule?.[step] ?? step;
  const isFirstOfSet = schedule === undefined || schedule.indexOf(set) === step;
  if (name === "linear_out.weight") return { name: `linears.${step}.weight` };
  if (name.startsWith("emb.")) {
    const table = step === 0 ? "depformer_text_emb" : `depformer_emb.${step - 1}`;
    return { name: name.replace(/^emb/, table) };
  }
  if (!isFirstOfSet) return null;
  if (name === "linear_in.weight") return { name: `depformer_in.${set}.weight` };
  const layer = /^transformer\.layers\.(\d+)\.(.+)$/.exec(name);
  if (!layer) return { name: `depformer.${step}.${name}` };
  const path = `depformer.layers.${layer[1]}`;
  const part = layer[2]!;
  if (part.startsWith("gating.")) return { name: `${path}.gating.${set}.${part.slice("gating.".length)}` };
  if (!/^norm[12]\./.test(part)) return layerPlace(`${path}.${part}`, set);
  // All steps share their norms.
  return step === 0 ? { name: `${path}.${part.replace(/\.weight$/, ".alpha")}` } : null;
}
