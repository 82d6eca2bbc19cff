import type { Profile } from "../config/profile.ts";
import { type Clock, RealClock } from "../core/clock.ts";
import type { Source, Speaker } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { EchoFigures } from "../observe/session-gauges.ts";
import type { Parts } from "./parts.ts";

const PART = "echo";

export interface Sound {
  microphone: Source | null;
  speaker: Speaker;
  /** Present if a canceller stands between the two. */
  echo?: EchoFigures;
}

export interface EchoSetup {
  profile: Profile;
  parts: Parts;
  /** The microphone's. */
  sampleRateHz: number;
  log: Log;
  /** Makes a clock, not started, for one self-test. Default real time. */
  makeClock?: () => Clock;
}

/** A sound server that has just begun may stand still and tear the first test: one that fails is repeated. */
const TESTS = 2;

/**
 * Keeps an open microphone from hearing an open speaker, as the profile says: measures the echo between the two, refuses
 * them together if it cannot be cancelled, and puts a canceller between them. Recordings and silent speakers pass as they are.
 *
 * @throws RuntimeError "device-unavailable" if the self-test fails.
 */
export async function withoutEcho(setup: EchoSetup, sound: Sound, signal: AbortSignal): Promise<Sound> {
  const { profile, parts, sampleRateHz, log, makeClock = () => new RealClock() } = setup;
  const { microphone, speaker } = sound;
  if (microphone === null || microphone.recorded || !speaker.states || profile.echo !== "cancel")
    return sound;
  // Only here: it brings half a megabyte of WebAssembly, and most sessions have no need of it.
  const { CancelledMicrophone, echoFault, measureEcho, ReferenceTrack, TappedSpeaker } = await import(
    "../../devices/echo/echo.ts"
  );
  const test = async () => {
    const clock = makeClock();
    const probed = {
      // Opened for the test alone: those of the session are opened on its clock.
      microphone: parts.microphone(profile.microphone, sampleRateHz, profile.devices) ?? microphone,
      speaker: parts.speaker(profile.speaker, clock, profile.devices),
    };
    return measureEcho({ ...probed, sampleRateHz, clock }, signal);
  };
  let report = await test();
  for (let tests = 1; tests < TESTS && echoFault(report); tests++) report = await test();
  const fault = echoFault(report);
  if (fault) {
    throw new RuntimeError("device-unavailable", {
      part: PART,
      problem: `${microphone.name} would hear ${speaker.name}: ${fault}`,
      remedy:
        "Turn the speaker down or move it away, use headphones with --echo off, or name a source without echo with --echo system",
    });
  }
  const { delayMs, returnLossDb, enhancementDb } = report;
  log.write(
    "info",
    PART,
    delayMs === null || returnLossDb === null || enhancementDb === null
      ? "none was heard"
      : `after ${delayMs.toFixed(0)} ms, ${returnLossDb.toFixed(0)} dB fainter than it was played; made ${enhancementDb.toFixed(0)} dB fainter`,
  );
  const reference = new ReferenceTrack(sampleRateHz);
  const cancelled = new CancelledMicrophone(microphone, reference);
  return {
    microphone: cancelled,
    speaker: new TappedSpeaker(speaker, reference),
    echo: { delayMs, returnLossDb, enhancementDb: () => cancelled.enhancementDb },
  };
}
