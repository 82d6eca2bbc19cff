import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import { openSafetensors } from "../../tensors/safetensors.ts";
import type { TensorFile } from "../../tensors/tensor-file.ts";
import { readConditions, readVoice } from "../conditioners.ts";
import type { MoshiConfig } from "../config.ts";
import { HIBIKI_QUALITY } from "../hibiki.ts";
import type { Conditions } from "../language-model.ts";
import { FixtureFile } from "./fixture-file.ts";
import { type CheckReport, NumberComparison, type OutputReport } from "./report.ts";
import type { SetContext } from "./set-context.ts";

/** These are computed in f32 and not by the network. */
const CONDITION_TOLERANCE = 1e-5;
/** The conditioner that Hibiki's quality goes to. */
const DESCRIPTION = "description";

const settingsSchema = z.object({
  cfg: z.string(),
  control: z.string(),
  max_speakers: z.int().min(1).max(64),
});

/** Conditions of a checkpoint that is told a quality; none for one that is not. */
export async function describedBy(
  tensors: TensorFile,
  config: MoshiConfig,
  quality: string | null = HIBIKI_QUALITY,
): Promise<Conditions> {
  if (!config.conditioners.has(DESCRIPTION)) return {};
  return readConditions(tensors, config, { [DESCRIPTION]: quality });
}

/** Conditions of a text-to-speech set: what `tts_run.json` names, and the set's voice. */
export async function speechConditions({ set, config, tensors }: SetContext): Promise<Conditions> {
  const { cfg, control, max_speakers } = await readJson(join(set.path, "tts_run.json"), settingsSchema);
  const file = await openSafetensors(join(set.path, "voice.safetensors"));
  try {
    const voice = await readVoice(file);
    return await readConditions(tensors, config, { cfg, control, speaker_wavs: [voice] }, max_speakers);
  } finally {
    await file.close();
  }
}

/** Conditions from the checkpoint's conditioners against the original's. */
export async function checkConditions(context: SetContext): Promise<CheckReport> {
  const { set, config, tensors } = context;
  return FixtureFile.with(join(set.path, "conditions.safetensors"), async (file) => {
    const { dim } = config.temporal;
    const outputs: OutputReport[] = [];
    const compare = async (name: string, actual: Float32Array | undefined): Promise<void> => {
      const expected = await file.numbers(name, [null, dim]);
      const comparison = new NumberComparison(name, CONDITION_TOLERANCE);
      comparison.add(actual ?? new Float32Array(), expected.all, name);
      outputs.push(comparison.report());
    };
    if (set.files.has("tts_run.json")) {
      const { sum, cross } = await speechConditions(context);
      await compare("sum", sum);
      await compare("cross", cross);
    } else {
      for (const [name, quality] of [
        ["very_good", "very_good"],
        ["very_bad", "very_bad"],
        ["absent", null],
      ] as const) {
        await compare(name, (await describedBy(tensors, config, quality)).sum);
      }
    }
    return { set: set.name, check: "conditions", outputs };
  });
}

/** A JSON file of a set. @throws RuntimeError "invalid-checkpoint" if it is not what it should be. */
export async function readJson<Value>(path: string, schema: z.ZodType<Value>): Promise<Value> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new RuntimeError("invalid-checkpoint", {
      part: "parity",
      problem: `${path}: ${messageOf(cause)}`,
      cause,
    });
  }
}
