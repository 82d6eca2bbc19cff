import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { RuntimeError } from "../core/errors.ts";

const seconds = z.number().min(0);

/** One session with what should happen in it: the demo, and every held-out scenario. Times are session seconds. */
const sceneSchema = z.object({
  title: z.string().default(""),
  durationS: z.number().positive(),
  /** Files beside the scene's own; null without a camera or a microphone. */
  video: z.string().nullable().default(null),
  microphone: z.string().nullable().default(null),
  typed: z.array(z.object({ timeS: seconds, text: z.string().min(1) })).default([]),
  truth: z
    .object({
      /** Repetitions that are to be counted, at their completion, with the number to say; `optional` if the film ends with them. */
      reps: z
        .array(z.object({ timeS: seconds, count: z.number().int().min(1), optional: z.boolean().optional() }))
        .default([]),
      /** Words that are due at a time. */
      due: z.array(z.object({ timeS: seconds, text: z.string() })).default([]),
      /** Questions: what the answer must contain, and by when it must have begun. */
      answers: z.array(z.object({ askedS: seconds, text: z.string(), byS: seconds })).default([]),
      /** When a person speaks into the microphone. */
      speech: z.array(z.object({ startS: seconds, endS: seconds })).default([]),
    })
    .prefault({}),
});

export type Scene = z.infer<typeof sceneSchema>;

/**
 * Reads a scene; its media paths become absolute.
 * @throws RuntimeError "missing-file" or "invalid-media" naming the file.
 */
export async function loadScene(path: string): Promise<Scene> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new RuntimeError("missing-file", { part: "scene", problem: `${path} cannot be read`, cause });
  }
  const result = sceneSchema.safeParse(parseJson(text, path));
  if (!result.success) {
    const faults = result.error.issues.map(({ path: where, message }) => `${where.join(".")}: ${message}`);
    throw new RuntimeError("invalid-media", { part: "scene", problem: `${path}: ${faults.join("; ")}` });
  }
  const beside = (file: string | null): string | null =>
    file === null ? null : resolve(dirname(path), file);
  const { video, microphone, ...scene } = result.data;
  return { ...scene, video: beside(video), microphone: beside(microphone) };
}

/** @throws RuntimeError "invalid-media" naming the file. */
export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RuntimeError("invalid-media", { part: path, problem: "is not JSON", cause });
  }
}
