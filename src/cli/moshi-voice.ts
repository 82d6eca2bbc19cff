import type { Profile } from "../config/profile.ts";
import type { StreamingVoice } from "../core/device.ts";

/**
 * A text-to-speech checkpoint of the Moshi family as a voice, as a profile wants it to speak.
 * @throws RuntimeError, see loadMoshiVoice.
 */
export async function loadSpeech(
  directory: string,
  { textToSpeech, seed }: Pick<Profile, "textToSpeech" | "seed">,
): Promise<StreamingVoice> {
  // Only here: the packages take their time to load.
  const { loadMoshiVoice } = await import("../../models/moshi/text-to-speech/load-voice.ts");
  const { voice = null, codebooks = null } = textToSpeech;
  return loadMoshiVoice({ directory, voice, nCodebooks: codebooks, seed });
}
