import { readdir } from "node:fs/promises";
import { join, parse } from "node:path";
import { RuntimeError } from "../../src/core/errors.ts";
import type { MoshiConfig } from "./config.ts";
import { type MoshiFiles, VOICE_SUFFIX, VOICES_FOLDER } from "./files.ts";
import type { Draws } from "./language-model.ts";

/** As published with Moshi, and used by its server and PersonaPlex. */
const USUAL = {
  audioTemperature: 0.8,
  audioTopK: 250,
  textTemperature: 0.7,
  textTopK: 25,
} as const;

/** A message names no more voices than this, and repeats no more of a name. */
const MAX_NAMED_VOICES = 20;
const MAX_NAME_CHARS = 200;

/** What a model is loaded for: how its conversations are unless one is begun otherwise. */
export interface ConversationDefaults {
  /** For text and sound; null for what the checkpoint says, or else the family's usual. 0 is greedy. */
  temperature: number | null;
  seed: number;
  /** Of PersonaPlex: path of a converted voice, or null; and the role, "" for none. */
  persona: { voice: string | null; role: string };
}

/** How a conversation is, in every respect. */
export interface Conversation {
  draws: Draws;
  persona: ConversationDefaults["persona"];
}

/** What one conversation is to have of its own. What is left out is as the model was loaded. */
export interface ConversationWishes {
  /** 0 is greedy. */
  textTemperature?: number;
  /** 0 is all. */
  textTopK?: number;
  audioTemperature?: number;
  audioTopK?: number;
  /** Whole; the lowest 32 bits count. */
  textSeed?: number;
  audioSeed?: number;
  /** The probability of text padding is multiplied by e to this power: a slower speech. Nothing where text is greedy. */
  padMultiplier?: number;
  /** Name of a voice in the checkpoint's folder of voices, with or without the suffix of the published or the converted file. */
  voice?: string;
  /** The role that PersonaPlex is to play. */
  role?: string;
}

/** How conversations are that nobody wishes otherwise: as asked for, else as the checkpoint says, else as usual. */
export function usualConversation(
  { kind, config: { sampling } }: { kind: MoshiFiles["kind"]; config: Pick<MoshiConfig, "sampling"> },
  { temperature, seed, persona }: ConversationDefaults,
): Conversation {
  // Nothing is left to chance in a transcript.
  const usualText = kind === "stt" ? 0 : USUAL.textTemperature;
  const draws: Draws = {
    text: {
      temperature: temperature ?? sampling.textTemperature ?? usualText,
      topK: sampling.textTopK ?? USUAL.textTopK,
    },
    audio: {
      temperature: temperature ?? sampling.audioTemperature ?? USUAL.audioTemperature,
      topK: sampling.audioTopK ?? USUAL.audioTopK,
    },
    textSeed: seed,
    audioSeed: seed,
  };
  return { draws, persona };
}

/**
 * The conversation that is wished for.
 *
 * @param usual what holds where nothing is wished.
 * @throws RuntimeError "invalid-argument" for a voice that the checkpoint does not have, or a persona where there is none.
 */
export async function conversationOf(
  { kind, directory }: Pick<MoshiFiles, "kind" | "directory">,
  usual: Conversation,
  wishes: ConversationWishes,
): Promise<Conversation> {
  const { draws } = usual;
  const text = {
    temperature: wishes.textTemperature ?? draws.text.temperature,
    topK: wishes.textTopK ?? draws.text.topK,
  };
  return {
    draws: {
      text,
      audio: {
        temperature: wishes.audioTemperature ?? draws.audio.temperature,
        topK: wishes.audioTopK ?? draws.audio.topK,
      },
      textSeed: wishes.textSeed ?? draws.textSeed,
      audioSeed: wishes.audioSeed ?? draws.audioSeed,
      // A probability times e^m is a logit that is m temperatures larger.
      textPaddingBonus: (wishes.padMultiplier ?? 0) * text.temperature,
    },
    persona: await personaOf({ kind, directory }, usual.persona, wishes),
  };
}

async function personaOf(
  { kind, directory }: Pick<MoshiFiles, "kind" | "directory">,
  usual: Conversation["persona"],
  { voice, role }: ConversationWishes,
): Promise<Conversation["persona"]> {
  if (kind !== "personaplex" && (voice !== undefined || role !== undefined)) {
    throw new RuntimeError("invalid-argument", {
      part: voice !== undefined ? "voice" : "role",
      problem: `a checkpoint of kind ${kind} takes no voice or role`,
      remedy: "Leave it out, or have a PersonaPlex checkpoint served",
    });
  }
  return {
    voice: voice === undefined ? usual.voice : await findVoice(directory, voice),
    role: role ?? usual.role,
  };
}

/**
 * Path of a voice in the checkpoint's folder of voices. The name is compared with the names that are there and never
 * becomes part of a path, wherever it comes from.
 */
async function findVoice(directory: string, name: string): Promise<string> {
  const folder = join(directory, VOICES_FOLDER);
  // Without such a folder there is no voice.
  const files: string[] = await readdir(folder).catch(() => []);
  const voices = files.filter((file) => file.endsWith(VOICE_SUFFIX)).sort();
  const wanted = `${name.replace(/\.(pt|safetensors)$/, "")}${VOICE_SUFFIX}`;
  const found = voices.find((file) => file === wanted);
  if (found !== undefined) return join(folder, found);
  const known = voices.slice(0, MAX_NAMED_VOICES).map((file) => parse(file).name);
  throw new RuntimeError("invalid-argument", {
    part: "voice",
    problem: `there is no voice '${name.slice(0, MAX_NAME_CHARS)}'`,
    remedy:
      known.length === 0
        ? "Leave it out: this checkpoint has no voices"
        : `Say one of ${known.join(", ")}${voices.length > known.length ? ", ..." : ""}`,
  });
}
