import { cameraFrom, microphoneFrom, speakerFrom, voiceFrom } from "../../devices/devices.ts";
import { devicesSchema } from "../config/devices.ts";
import type { Profile } from "../config/profile.ts";
import type { Clock } from "../core/clock.ts";
import type { Source, Speaker, StreamingVoice, Voice } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import type { InteractionModel } from "../core/model.ts";
import { checkpointFolder, digestsOf, type ModelLock, moshiFolder } from "./checkpoints.ts";
import { loadMoshi, moshiDigests } from "./moshi.ts";
import { loadSpeech } from "./moshi-voice.ts";

/** What a session is made of. The commands take it as a value, so that a test can put a small model in. */
export interface Parts {
  loadModel(profile: Profile): Promise<InteractionModel>;
  /** The files that `loadModel` reads, with their sizes and digests. */
  checkpointDigests(profile: Profile): Promise<ModelLock[string]>;
  /** @param devices how live ones are used; as usual if absent. */
  camera(spec: string, devices?: Profile["devices"]): Source | null;
  microphone(spec: string, sampleRateHz: number, devices?: Profile["devices"]): Source | null;
  speaker(spec: string, clock: Clock, devices?: Profile["devices"]): Speaker;
  /** What speaks the words of a model, ready to. Closed by the caller. */
  voice(profile: Pick<Profile, "voice" | "textToSpeech" | "seed">): Promise<Voice | StreamingVoice>;
}

/** How live devices are used unless a profile says otherwise. */
const USUAL = devicesSchema.parse({});

/** The parts that ship. */
export const shippedParts: Parts = {
  async loadModel(profile) {
    const moshi = moshiFolder(profile.model);
    if (moshi !== null) return loadMoshi(moshi, profile);
    const weights = nativeWeights(profile.weights);
    const directory = await checkpointFolder(profile.model);
    // Only here: the model's packages take a third of a second to load, and a wrong flag should be told before.
    const { loadNativeModel } = await import("../../models/native/model.ts");
    return loadNativeModel({
      directory,
      backend: profile.backend,
      weights,
      sampling: { temperature: profile.temperature ?? 0, topK: 0, seed: profile.seed },
    });
  },
  async checkpointDigests(profile) {
    const moshi = moshiFolder(profile.model);
    if (moshi !== null) return moshiDigests(moshi);
    const directory = await checkpointFolder(profile.model);
    const { CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE } = await import("../../models/native/checkpoint.ts");
    return digestsOf(directory, [CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE]);
  },
  camera: (spec, { camera } = USUAL) => cameraFrom(spec, camera),
  microphone: (spec, sampleRateHz, { microphone } = USUAL) => microphoneFrom(spec, sampleRateHz, microphone),
  speaker: (spec, clock, { speaker } = USUAL) => speakerFrom(spec, clock, speaker),
  async voice(profile) {
    const moshi = moshiFolder(profile.voice);
    return moshi === null ? voiceFrom(profile.voice) : loadSpeech(moshi, profile);
  },
};

/** @throws RuntimeError "invalid-configuration" for a format that only the Moshi family has. */
function nativeWeights(weights: Profile["weights"]): Exclude<Profile["weights"], "q4"> {
  if (weights !== "q4") return weights;
  throw new RuntimeError("invalid-configuration", {
    part: "weights",
    problem: "q4 is for models of the Moshi family",
    remedy: "Say q8 or as-stored",
  });
}
