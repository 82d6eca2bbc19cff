import type { Profile } from "../config/profile.ts";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { stderrLog } from "../core/log.ts";
import type { InteractionModel, ModelDescription } from "../core/model.ts";
import { writeWhole } from "../core/output.ts";
import type { SessionEvent, SessionObserver, SessionSummary } from "../runtime/events.ts";
import { type Invocation, type Io, stringOption } from "./command.ts";
import { type Parts, shippedParts } from "./parts.ts";
import { profileFrom } from "./profile-options.ts";
import { recordingWish, type SessionRecording, startRecording } from "./recording.ts";
import { webVtt } from "./report/captions.ts";
import { reportPage } from "./report/page.ts";
import { SessionRecord } from "./report/record.ts";
import type { SessionScreen } from "./screen.ts";
import { clockOf, runSession } from "./session.ts";
import { SessionHealth } from "./session-health.ts";
import { eventJson, eventLine } from "./view/event-line.ts";
import { TerminalTimeline } from "./view/terminal.ts";

/** "native/counter on cpu (AMD EPYC): the adapter is a software rasteriser" */
export function modelLine({ model, backend, adapter, reason }: ModelDescription): string {
  return `${model} on ${backend} (${adapter}): ${reason}`;
}

/** How a session went, for people. */
export function summaryLines(summary: SessionSummary, microTurnMs: number): string[] {
  const { p50, p99, p999, max } = summary.stepMs;
  const lines = [
    `${summary.microTurns} micro-turns of ${microTurnMs} ms, ${summary.late} late`,
    `step time p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)}, p99.9 ${p999.toFixed(1)}, worst ${max.toFixed(1)} (budget ${microTurnMs})`,
    modelLine(summary),
  ];
  if (summary.gaps.count > 0)
    lines.push(`${summary.gaps.count} gaps in the sound, ${summary.gaps.totalMs.toFixed(0)} ms in all`);
  const dropped = Object.entries(summary.dropped).filter(([, count]) => count > 0);
  if (dropped.length > 0)
    lines.push(`dropped: ${dropped.map(([what, count]) => `${count} ${what}`).join(", ")}`);
  return lines;
}

/**
 * The observer that tells a session to whoever reads stdout.
 * @param notice stands before everything else on a terminal: what a person must not overlook.
 * @param typing where a person types into that terminal.
 */
export function narrator(
  io: Io,
  json: boolean,
  model: ModelDescription,
  microTurnMs: number,
  notice: () => string = () => "",
  typing?: NodeJS.ReadableStream,
): SessionObserver {
  if (json) return { event: (event) => io.out(`${eventJson(event)}\n`) };
  if (io.isTerminal) return new TerminalTimeline(io, () => notice() + modelLine(model), microTurnMs, typing);
  io.out(`${modelLine(model)}\n`);
  return {
    event(event) {
      const line = eventLine(event);
      if (line !== null) io.out(`${line}\n`);
    },
  };
}

function expectSomethingToDo(profile: Profile, typing: boolean): void {
  const { camera, microphone, serial, text, duration } = profile;
  const perceives = [camera, microphone, serial.port].some((spec) => spec !== "none");
  if (perceives || text.length > 0 || duration !== undefined || typing) return;
  throw new RuntimeError("invalid-argument", {
    part: "run",
    problem: "there is nothing to perceive",
    remedy: "Give --camera, --microphone, --text or --duration",
  });
}

/** The page that the profile asks for, its addresses told; null if it asks for none. */
async function openScreen(profile: Profile, model: InteractionModel, io: Io): Promise<SessionScreen | null> {
  if (profile.screen.address === "none") return null;
  // Only here: most sessions have none, and its packages take their time to load.
  const { SessionScreen } = await import("./screen.ts");
  const screen = await SessionScreen.open(profile, model, modelLine(model.description));
  io.err(`screen: ${screen.url}/ for the operator, ${screen.url}/mirror for the person before it\n`);
  return screen;
}

/** `microturn run` */
export async function run(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const { values, io } = invocation;
  const profile = await profileFrom(invocation);
  const typing = profile.clock === "real" && process.stdin.isTTY === true ? process.stdin : undefined;
  expectSomethingToDo(profile, typing !== undefined);
  const reportPath = stringOption(values, "report");
  const captionsPath = stringOption(values, "captions");
  const wish = recordingWish(values);
  const clock = clockOf(profile);

  const model = await parts.loadModel(profile);
  let recording: SessionRecording | null = null;
  let screen: SessionScreen | null = null;
  let health: SessionHealth | null = null;
  try {
    const { microTurnMs } = model.perception;
    screen = await openScreen(profile, model, io);
    health = await SessionHealth.open(profile, microTurnMs, stderrLog);
    const isForReport = reportPath !== undefined;
    const record = isForReport || captionsPath !== undefined ? new SessionRecord({ isForReport }) : null;
    const notice = () => (recording?.isOn ? `● recording to ${recording.path} | ` : "");
    const teller = narrator(io, values.json === true, model.description, microTurnMs, notice, typing);
    if (wish !== null) {
      const tell = (event: SessionEvent) => {
        teller.event?.(event);
        screen?.event(event);
      };
      recording = await startRecording({ ...wish, profile, model, parts, clock, tell });
    }
    const listeners = [record, recording].filter((one) => one !== null);
    const summary = await runSession(
      {
        profile,
        model,
        parts,
        clock,
        observers: [teller, ...listeners, screen, health].filter((observer) => observer !== null),
        log: stderrLog,
        ...(typing ? { typing } : {}),
        watch: (gauges) => health?.watch({ ...gauges, recordingBytes: () => recording?.waitingBytes ?? 0 }),
        wrapSpeaker: (speaker) => listeners.reduce((heard, listener) => listener.listenTo(heard), speaker),
      },
      io.signal,
    );
    if (values.json !== true) io.out(`${summaryLines(summary, microTurnMs).join("\n")}\n`);
    if (record !== null && captionsPath !== undefined) {
      await writeWhole(captionsPath, webVtt(record.played, record.heard));
    }
    if (record !== null && reportPath !== undefined) {
      await writeWhole(reportPath, reportPage({ title: "microturn session", record, summary, microTurnMs }));
    }
    return EXIT.ok;
  } finally {
    await recording?.close();
    await screen?.close();
    await health?.close();
    await model.close();
  }
}
