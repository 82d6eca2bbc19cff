import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findMoshiFiles } from "../../../models/moshi/files.ts";
import { safetensorsFile, storeF32 } from "../native/safetensors-file.ts";
import { ggufFile } from "../tensors/gguf-file.ts";
import { TINY_MOSHI, writeTinyCheckpoint } from "./tiny-checkpoint.ts";

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "moshi-"));
});
afterAll(() => rm(root, { recursive: true }));

async function folder(name: string, json: Record<string, unknown> = TINY_MOSHI): Promise<string> {
  const directory = join(root, name);
  await writeTinyCheckpoint(directory, json);
  return directory;
}

test("files are found by their usual names", async () => {
  const directory = await folder("usual");
  const { config, ...files } = await findMoshiFiles(directory);
  expect(files).toEqual({
    directory,
    kind: "moshi",
    configFile: join(directory, "config.json"),
    model: join(directory, "model.safetensors"),
    adapters: null,
    mimi: join(directory, "mimi-tiny@1.safetensors"),
    mimiConfig: join(directory, "mimi_config.json"),
    tokenizer: join(directory, "tokenizer.model"),
    vision: null,
  });
  expect(config.context).toBe(TINY_MOSHI.context);
});

test("files are found by the names in config.json, an address on the hub by its last part", async () => {
  const directory = await folder("named", {
    ...TINY_MOSHI,
    moshi_name: "lm@80.safetensors",
    mimi_name: "hf://kyutai/other/codec.safetensors",
    tokenizer_name: "hf://kyutai/other/words.model",
    model_type: "hibiki",
  });
  await rename(join(directory, "model.safetensors"), join(directory, "lm@80.safetensors"));
  await rename(join(directory, "mimi-tiny@1.safetensors"), join(directory, "codec.safetensors"));
  await rename(join(directory, "tokenizer.model"), join(directory, "words.model"));
  await writeFile(join(directory, "other.model"), "");
  await writeFile(join(directory, "other.safetensors"), "");
  const files = await findMoshiFiles(directory);
  expect(files.kind).toBe("hibiki");
  expect([files.model, files.mimi, files.tokenizer]).toEqual(
    ["lm@80.safetensors", "codec.safetensors", "words.model"].map((name) => join(directory, name)),
  );
});

test("a model that predicts both speakers is PersonaPlex", async () => {
  const directory = await folder("persona", { ...TINY_MOSHI, dep_q: 4 });
  expect((await findMoshiFiles(directory)).kind).toBe("personaplex");
});

/** Names of a model of so many depth steps, as each release has them: enough to tell which it is. */
const LAYOUTS: Record<string, (step: number) => string[]> = {
  PyTorch: (step) => [`linears.${step}.weight`, `depformer_in.${step}.weight`],
  Rust: (step) => [
    `depformer.${step}.linear_out.weight`,
    `depformer.${step}.linear_in.weight`,
    `depformer.${step}.transformer.layers.0.self_attn.in_proj_weight`,
  ],
  MLX: (step) => [
    `depformer.slices.${step}.linear_out.weight`,
    `depformer.slices.${step}.linear_in.weight`,
    `depformer.slices.${step}.transformer.layers.0.self_attn.in_proj.weight`,
    `audio_embs.${step}.weight`,
  ],
};

/** A folder without config.json, whose language model has only these tensors. */
async function bare(name: string, file: string, names: readonly string[]): Promise<string> {
  const directory = await folder(name);
  await rm(join(directory, "config.json"));
  await rm(join(directory, "model.safetensors"));
  const bytes = file.endsWith(".gguf")
    ? ggufFile({
        tensors: names.map((tensor, i) => ({
          name: tensor,
          dims: [4n, 2n],
          type: 0,
          offset: BigInt(32 * i),
        })),
        data: new Uint8Array(32 * names.length),
      })
    : safetensorsFile(new Map(names.map((tensor) => [tensor, storeF32([2, 4], new Float32Array(8))])));
  await writeFile(join(directory, file), bytes);
  return directory;
}

test.each(
  Object.keys(LAYOUTS).flatMap((layout) =>
    ["model.safetensors", "model.q8.gguf"].map((file) => [layout, file] as const),
  ),
)("without config.json a model is known by its tensors in %s's layout, in %s", async (layout, file) => {
  for (const [steps, kind] of [
    [8, "moshi"],
    [16, "personaplex"],
  ] as const) {
    const names = Array.from({ length: steps }, (_, step) => LAYOUTS[layout]!(step)).flat();
    const found = await findMoshiFiles(await bare(`${layout} ${steps} ${file}`, file, names));
    expect([found.kind, found.config.depQ, found.config.temporal.dim]).toEqual([kind, steps, 4096]);
  }
});

test.each<[string, string, RegExp]>([
  ["the language model", "model.safetensors", /no language model: config.json names|no language model/],
  ["the codec", "mimi-tiny@1.safetensors", /there is no Mimi codec/],
  ["the tokenizer", "tokenizer.model", /there is no SentencePiece tokenizer/],
])("without %s it says so", async (what, name, message) => {
  const directory = await folder(`without ${what}`);
  await rm(join(directory, name));
  await expect(findMoshiFiles(directory)).rejects.toThrow(message);
  await expect(findMoshiFiles(directory)).rejects.toMatchObject({ code: "invalid-checkpoint", exitCode: 78 });
});

test("two files that may be the one are not guessed between", async () => {
  const directory = await folder("two");
  await writeFile(join(directory, "second.model"), "");
  await expect(findMoshiFiles(directory)).rejects.toThrow(/second.model or tokenizer.model may be/);
});

test("a folder that is not there, and a language model that is none", async () => {
  await expect(findMoshiFiles(join(root, "nowhere"))).rejects.toMatchObject({ code: "invalid-checkpoint" });
  const directory = join(root, "broken");
  await mkdir(directory);
  await writeFile(join(directory, "model.safetensors"), "none");
  await expect(findMoshiFiles(directory)).rejects.toMatchObject({ code: "invalid-checkpoint" });
});
