import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { RuntimeError } from "../../../src/core/errors.ts";
import { WorkerClient } from "../../worker/worker-client.ts";
import { takesVoices } from "../conditioners.ts";
import { findMoshiFiles, VOICE_SUFFIX, VOICES_FOLDER } from "../files.ts";
import type { VoiceSettings } from "../worker/build-voice.ts";
import type { VoiceEngineOptions } from "../worker/voice-engine.ts";
import type { VoiceCalls } from "../worker/voice-worker.ts";
import { MoshiVoice } from "./voice.ts";

/** A message names no more voices than this. */
const MAX_NAMED = 20;

export interface MoshiVoiceOptions extends Omit<VoiceSettings, "voice"> {
  /** A text-to-speech checkpoint as published: see findMoshiFiles. */
  directory: string;
  /** Path of a published voice file, or its name in the checkpoint's folder `voices`; null for the only one there. */
  voice: string | null;
}

/**
 * Loads a text-to-speech checkpoint of the Moshi family as a voice, on the GPU, in a worker thread. Everything is allocated
 * and has run once when this settles.
 *
 * @throws RuntimeError "invalid-configuration" for a checkpoint that is none, takes its voice in another way or has fewer
 *   codebooks; "missing-file" for a voice that is not there; "invalid-checkpoint" naming the fault; "gpu-unavailable",
 *   "gpu-compile" or "gpu-out-of-memory".
 */
export async function loadMoshiVoice(options: MoshiVoiceOptions): Promise<MoshiVoice> {
  const { directory, nCodebooks, seed } = options;
  const name = `voice moshi:${directory}`;
  const files = await findMoshiFiles(resolve(directory));
  const { config, kind } = files;
  if (kind !== "tts") {
    throw unfit(
      name,
      `a checkpoint of kind ${kind} does not speak what it is given`,
      "Give a text-to-speech checkpoint",
    );
  }
  if (!takesVoices(config)) {
    const problem = "this checkpoint takes its voice as sound before the text, which is not supported";
    throw unfit(name, problem, "Give one that takes voice files, as kyutai/tts-1.6b-en_fr");
  }
  if (nCodebooks !== null && nCodebooks > config.depQ) {
    throw unfit(name, `${nCodebooks} codebooks of a checkpoint that makes ${config.depQ}`, "Ask for fewer");
  }
  const voice = await findVoice(join(files.directory, VOICES_FOLDER), options.voice, name);
  const workerData: VoiceEngineOptions = { files, voice, nCodebooks, seed };
  const { client } = await WorkerClient.start<VoiceCalls, null>({
    url: new URL("../worker/voice-worker-start.mjs", import.meta.url),
    part: "moshi voice",
    workerData,
  });
  return new MoshiVoice(`voice moshi:${basename(files.directory)}`, {
    step: (given) => client.call("step", given),
    async reset() {
      await client.call("reset", null);
    },
    close: () => client.close(),
  });
}

/** Voices are published as NAME.SIGNATURE@EPOCH.safetensors, in folders. */
async function findVoice(folder: string, asked: string | null, part: string): Promise<string> {
  if (asked?.endsWith(VOICE_SUFFIX)) {
    const [inFolder, path] = [join(folder, asked), resolve(asked)];
    for (const candidate of [inFolder, path]) if (await isFile(candidate)) return candidate;
    throw missing(part, `there is no voice file ${path}, nor ${inFolder}`);
  }
  const listed = await readdir(folder, { recursive: true }).catch(() => []);
  const names = listed
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(VOICE_SUFFIX));
  const found = names.filter((name) => asked === null || name.startsWith(`${asked}.`)).sort();
  if (found.length === 1) return join(folder, found[0]!);
  const named = names.slice(0, MAX_NAMED).join(", ") + (names.length > MAX_NAMED ? ", ..." : "");
  const there = names.length === 0 ? `there is none in ${folder}` : `${folder} has ${named}`;
  if (asked === null) throw missing(part, `no voice is named, and ${there}`);
  const many = `several voices are called ${asked}: ${found.join(", ")}`;
  throw missing(part, found.length > 1 ? many : `there is no voice ${asked}: ${there}`);
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

function unfit(part: string, problem: string, remedy: string): RuntimeError {
  return new RuntimeError("invalid-configuration", { part, problem, remedy });
}

function missing(part: string, problem: string): RuntimeError {
  const remedy =
    "Bring one from kyutai/tts-voices into that folder, and name it in the profile: textToSpeech: { voice: NAME }";
  return new RuntimeError("missing-file", { part, problem, remedy });
}
