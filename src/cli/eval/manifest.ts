import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { RuntimeError } from "../../core/errors.ts";
import { parseJson } from "../scene.ts";

const videoClip = z.object({
  file: z.string(),
  reps: z.number().int().min(0),
  /** The least and the largest count that is right; the count itself where it is not said. */
  reps_accept: z.tuple([z.number(), z.number()]).nullish(),
  rep_end_s: z.array(z.number()).nullish(),
  negative: z.boolean().default(false),
  duration_s: z.number().positive(),
});

const audioClip = z.object({
  file: z.string(),
  kind: z.string(),
  /** Start, end and, where several people speak, who. Empty for noise and music. */
  speech_segments_s: z.array(z.tuple([z.number(), z.number()]).rest(z.unknown())).nullish(),
  duration_s: z.number().positive(),
});

export type VideoClip = z.infer<typeof videoClip>;
export type AudioClip = z.infer<typeof audioClip>;

/** Reads DIR/manifest.json; each clip's file becomes a path that exists. */
async function readManifest<Clip extends { file: string }>(
  directory: string,
  clip: z.ZodType<Clip>,
): Promise<Clip[]> {
  const path = join(directory, "manifest.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new RuntimeError("missing-file", {
      part: "manifest",
      problem: `${path} cannot be read`,
      remedy: "Give a folder with clips and a manifest.json",
      cause,
    });
  }
  const result = z.object({ files: z.array(clip).min(1) }).safeParse(parseJson(text, path));
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new RuntimeError("invalid-media", {
      part: "manifest",
      problem: `${path}: ${issue.path.join(".")}: ${issue.message}`,
    });
  }
  return result.data.files.map((entry) => ({ ...entry, file: findClip(directory, entry.file) }));
}

/** A clip's path is relative to the folder or to the one above it ("video/squat.mp4" in video/manifest.json). */
function findClip(directory: string, file: string): string {
  const places = [resolve(directory, file), resolve(dirname(resolve(directory)), file)];
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    throw new RuntimeError("missing-file", {
      part: "manifest",
      problem: `${file} is neither in ${directory} nor beside it`,
    });
  }
  return found;
}

export function readVideoManifest(directory: string): Promise<VideoClip[]> {
  return readManifest(directory, videoClip);
}

export function readAudioManifest(directory: string): Promise<AudioClip[]> {
  return readManifest(directory, audioClip);
}
