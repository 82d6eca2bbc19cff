import { cameraFrom, microphoneFrom, speakerFrom, voiceFrom } from "../../devices/devices.ts";
import type { Profile } from "../config/profile.ts";
import type { Clock } from "../core/clock.ts";
import type { Source, Speaker, Voice } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import type { InteractionModel } from "../core/model.ts";
import { checkpointFolder, digestsOf, type ModelLock } from "./checkpoints.ts";

/** What a session is made of. The commands take it as a value, so that a test can put a small model in. */
export interface Parts {
  loadModel(profile: Profile): Promise<InteractionModel>;
  /** The files that `loadModel` reads, with their sizes and digests. */
  checkpointDigests(profile: Profile): Promise<ModelLock[string]>;
  camera(spec: string): Source | null;
  microphone(spec: string, sampleRateHz: number): Source | null;
  speaker(spec: string, clock: Clock): Speaker;
  voice(spec: string): Voice;
}

const LIVE_DEVICES = ["v4l2", "gst", "pulse", "alsa"];

/** @throws RuntimeError "device-unavailable" for a live device, "invalid-argument" for what is no device at all. */
function expectFileOrNone(part: string, spec: string): void {
  const scheme = spec.split(":")[0]!;
  if (spec === "none" || (scheme === "file" && spec.length > "file:".length)) return;
  if (LIVE_DEVICES.includes(scheme) && spec.includes(":")) {
    throw new RuntimeError("device-unavailable", {
      part,
      problem: `${scheme}: devices are not supported yet`,
      remedy: "Use file:PATH or none",
    });
  }
  throw new RuntimeError("invalid-argument", {
    part,
    problem: `'${spec}' is no device`,
    remedy: "Give file:PATH or none",
  });
}

/** The parts that ship. */
export const shippedParts: Parts = {
  async loadModel(profile) {
    const directory = await checkpointFolder(profile.model);
    // Only here: the model's packages take a third of a second to load, and a wrong flag should be told before.
    const { loadNativeModel } = await import("../../models/native/model.ts");
    return loadNativeModel({
      directory,
      backend: profile.backend,
      weights: profile.weights,
      sampling: { temperature: profile.temperature, topK: 0, seed: profile.seed },
    });
  },
  async checkpointDigests(profile) {
    const directory = await checkpointFolder(profile.model);
    const { CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE } = await import("../../models/native/checkpoint.ts");
    return digestsOf(directory, [CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE]);
  },
  camera(spec) {
    expectFileOrNone("camera", spec);
    return cameraFrom(spec);
  },
  microphone(spec, sampleRateHz) {
    expectFileOrNone("microphone", spec);
    return microphoneFrom(spec, sampleRateHz);
  },
  speaker(spec, clock) {
    expectFileOrNone("speaker", spec);
    return speakerFrom(spec, clock);
  },
  voice: voiceFrom,
};
