import { keyboard, serialFrom, typedText } from "../../devices/devices.ts";
import type { Profile } from "../config/profile.ts";
import { type Clock, RealClock, VirtualClock } from "../core/clock.ts";
import type { Source, Speaker } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { type Log, stderrLog } from "../core/log.ts";
import type { InteractionModel } from "../core/model.ts";
import type { SessionGauges } from "../observe/session-gauges.ts";
import type { SessionObserver, SessionSummary } from "../runtime/events.ts";
import { Session } from "../runtime/session.ts";
import { withoutEcho } from "./echo.ts";
import type { Parts } from "./parts.ts";
import { openReasoner, type SessionReasoner } from "./session-reasoner.ts";

/** After its recorded sources have ended a session goes on until nothing was said for this long: the last number comes late. */
const SETTLE_MS = 2000;

export interface SessionSetup {
  profile: Profile;
  /** Reset by the session, closed by the caller. */
  model: InteractionModel;
  parts: Parts;
  /** Not started, of the profile's kind; a new one if absent. */
  clock?: Clock;
  /** In place of the microphone that the profile names. */
  microphone?: Source;
  /** Lines typed by a person while the session runs. */
  typing?: NodeJS.ReadableStream;
  observers?: readonly SessionObserver[];
  /** Looks at the speaker before it is used, or puts another in its place. */
  wrapSpeaker?: (speaker: Speaker) => Speaker;
  /** Told, before the first micro-turn, where the session's figures can be read. */
  watch?: (gauges: SessionGauges) => void;
  log?: Log;
}

/** A clock of the kind that a profile asks for. */
export function clockOf(profile: Profile): Clock {
  return profile.clock === "virtual" ? new VirtualClock() : new RealClock();
}

/** @throws RuntimeError "invalid-configuration" for a live device in virtual time. */
function expectRealTime(clock: Clock, sources: readonly (Source | null | undefined)[]): void {
  const live = sources.find((source) => source != null && !source.recorded);
  if (clock.kind === "real" || !live) return;
  throw new RuntimeError("invalid-configuration", {
    part: live.name,
    problem: "it lives in real time, and the session does not",
    remedy: "Use --clock real",
  });
}

/**
 * Puts the parts of one session together and runs it to its end.
 *
 * @param signal ends it in good order.
 * @throws RuntimeError of the part that failed.
 */
export async function runSession(setup: SessionSetup, signal: AbortSignal): Promise<SessionSummary> {
  const { profile, model, parts } = setup;
  const clock = setup.clock ?? clockOf(profile);
  const camera = parts.camera(profile.camera, profile.devices);
  const rateHz = model.perception.audioSampleRateHz;
  const openMicrophone =
    setup.microphone ??
    (rateHz === null ? null : parts.microphone(profile.microphone, rateHz, profile.devices));
  const sources: Source[] = camera ? [camera] : [];
  if (profile.text.length > 0) sources.push(typedText(profile.text));
  if (setup.typing) sources.push(keyboard(setup.typing));

  const board = serialFrom(profile.serial, Object.keys(profile.policy.actuators), clock);
  if (board) sources.push(board);

  const voice = await parts.voice(profile);
  let reasoner: SessionReasoner | null = null;
  try {
    reasoner = await openReasoner(profile, setup.log);
    if (reasoner) sources.push(reasoner.source);
    const openSpeaker = parts.speaker(profile.speaker, clock, profile.devices);
    expectRealTime(clock, [camera, openMicrophone, openSpeaker.states]);
    const { microphone, speaker, echo } = await withoutEcho(
      { profile, parts, sampleRateHz: rateHz ?? 0, log: setup.log ?? stderrLog },
      { microphone: openMicrophone, speaker: openSpeaker },
      signal,
    );
    if (microphone) sources.push(microphone);
    if (speaker.states) sources.push(speaker.states);
    const durationMs = profile.duration === undefined ? undefined : profile.duration * 1000;
    // Where only text was recorded nothing but the duration says how long to go on.
    const settleMs =
      camera === null && microphone === null ? Math.max(SETTLE_MS, durationMs ?? 0) : SETTLE_MS;
    const session = new Session({
      clock,
      model,
      sources,
      voice,
      speaker: setup.wrapSpeaker?.(speaker) ?? speaker,
      observers: [...(setup.observers ?? []), ...(reasoner?.observers ?? [])],
      actionSinks: [board, reasoner?.delegation].filter((sink) => sink != null),
      policy: profile.policy,
      settleMs,
      ...(durationMs === undefined ? {} : { durationMs }),
      ...(setup.log === undefined ? {} : { log: setup.log }),
    });
    setup.watch?.({
      standing: () => session.standing,
      underruns: () => (openSpeaker.underruns ?? 0) + session.standing.underruns,
      speakerDrift: () => openSpeaker.drift ?? 0,
      ...(echo ? { echo } : {}),
      ...(board ? { serial: () => board.counters } : {}),
    });
    return await session.run(signal);
  } finally {
    await reasoner?.close();
    await voice.close();
  }
}
