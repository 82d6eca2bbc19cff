import { type Profile, redactedProfile } from "../config/profile.ts";
import type { Clock } from "../core/clock.ts";
import type { Played, Speaker, Speech } from "../core/device.ts";
import { stderrLog } from "../core/log.ts";
import type { InteractionModel } from "../core/model.ts";
import { Recorder } from "../record/recorder.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../runtime/events.ts";
import { numberOption, type OptionValues, stringOption } from "./command.ts";
import { NotingSpeaker } from "./heard.ts";
import type { Parts } from "./parts.ts";

const BYTES_PER_MB = 1_000_000;
/** 4 GB: some six hours with a camera and a microphone. */
const DEFAULT_LIMIT_MB = 4000;

/** Where a session is to be recorded and how much of the disk that may take; null if it is not to be. */
export interface RecordingWish {
  path: string;
  limitBytes: number;
}

/** What the flags ask for. @throws RuntimeError "invalid-argument". */
export function recordingWish(values: OptionValues): RecordingWish | null {
  const path = stringOption(values, "record");
  const limitMb = numberOption(values, "record-limit", { min: 1 }) ?? DEFAULT_LIMIT_MB;
  return path === undefined ? null : { path, limitBytes: limitMb * BYTES_PER_MB };
}

export interface RecordingSetup extends RecordingWish {
  profile: Profile;
  model: InteractionModel;
  parts: Parts;
  /** The session's, not started. */
  clock: Clock;
  /** Tells the person of the recorder, as of any device. */
  tell: (event: SessionEvent) => void;
}

/** A session's recording. */
export interface SessionRecording extends SessionObserver {
  readonly path: string;
  /** False once it had to stop: a person must be able to see at any time whether they are recorded. */
  readonly isOn: boolean;
  /** What waits for the disk, bytes. */
  readonly waitingBytes: number;
  /** Has what `speaker` plays recorded. */
  listenTo(speaker: Speaker): Speaker;
  /** Finishes the file. Never throws. */
  close(): Promise<void>;
}

/**
 * Begins to record, before the session itself begins.
 * @throws RuntimeError "invalid-argument" if there is a recording of that name, "output-failed" if none can be made.
 */
export async function startRecording(setup: RecordingSetup): Promise<SessionRecording> {
  const { path, limitBytes, profile, model, clock, tell } = setup;
  const { microTurnMs, audioSampleRateHz } = model.perception;
  const tellState = (state: "ready" | "lost", detail: string) => {
    const tMs = clock.nowMs();
    const microTurn = Math.floor(tMs / microTurnMs);
    tell({ tMs, microTurn, kind: "device", device: `recorder ${path}`, state, detail });
  };
  let isOn = true;
  const recorder = await Recorder.open({
    path,
    limitBytes,
    clock,
    head: {
      profile: redactedProfile(profile),
      model: model.description,
      checkpoint: await setup.parts.checkpointDigests(profile),
    },
    sampleRateHz: audioSampleRateHz,
    ...(model.reduceFrame ? { reduceFrame: model.reduceFrame.bind(model) } : {}),
    onStop(fault) {
      isOn = false;
      stderrLog.write("warning", "recording", `${fault.problem}. The session goes on without it`);
      tellState("lost", fault.message);
    },
  });
  tellState("ready", "sound, pictures, text and what is said are recorded");
  return {
    path,
    get isOn() {
      return isOn;
    },
    get waitingBytes() {
      return recorder.waitingBytes;
    },
    step: (step: StepRecord) => recorder.step(step),
    event: (event: SessionEvent) => recorder.event(event),
    listenTo: (speaker) =>
      new NotingSpeaker(speaker, (played, speech) =>
        recorder.spoken(played.startMs, heardOf(played, speech)),
      ),
    close: () => recorder.close(),
  };
}

/** What sounded of a phrase. */
function heardOf({ startMs, endMs }: Played, { samples, sampleRateHz }: Speech): Speech {
  const count = Math.round(((endMs - startMs) / 1000) * sampleRateHz);
  return { sampleRateHz, samples: samples.subarray(0, count) };
}
