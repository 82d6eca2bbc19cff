import { type Profile, parseProfile } from "../config/profile.ts";
import { EXIT, RuntimeError } from "../core/errors.ts";
import type { MicroTurnOutput } from "../core/micro-turn.ts";
import { type RecordedOutput, type RecordingHead, recordedPart } from "../record/format.ts";
import { type RecordedEntry, Recording } from "../record/reader.ts";
import { type Difference, type ReplayResult, replay } from "../record/replay.ts";
import type { SessionEvent } from "../runtime/events.ts";
import type { ModelLock } from "./checkpoints.ts";
import { type Invocation, type Io, requiredArgument } from "./command.ts";
import { type Parts, shippedParts } from "./parts.ts";
import { modelOverrides } from "./profile-options.ts";
import { modelLine } from "./run.ts";
import { eventJson, eventLine } from "./view/event-line.ts";

/** `microturn replay FILE.mcap` */
export async function replayRecording(invocation: Invocation, parts: Parts = shippedParts): Promise<number> {
  const { values, io } = invocation;
  const recording = await Recording.open(requiredArgument(invocation, "replay", "FILE.mcap"));
  const profile = profileOf(recording.head, modelOverrides(values));
  expectSameCheckpoint(recording.head, await parts.checkpointDigests(profile));
  const model = await parts.loadModel(profile);
  try {
    if (values.json !== true) io.out(`${modelLine(model.description)}\n`);
    const tell = values.json === true ? eventJson : eventLine;
    const result = await replay(model, untilAborted(recording.entries(), io.signal), (entry) => {
      // A recording's events are what a session told; the account's end is not the replay's.
      const line = entry.kind === "event" ? tell(entry.event as SessionEvent) : null;
      if (line !== null && entry.kind === "event" && entry.event.kind !== "end") io.out(`${line}\n`);
    });
    if (values.json === true) io.out(`${resultJson(recording, result, model.perception.microTurnMs)}\n`);
    else tellResult(io, recording, result, values.diff === true);
    return result.difference === null ? EXIT.ok : EXIT.failure;
  } finally {
    await model.close();
  }
}

/** Stops between two entries on Ctrl-C: what has been replayed by then is told. */
async function* untilAborted(
  entries: AsyncIterable<RecordedEntry>,
  signal: AbortSignal,
): AsyncGenerator<RecordedEntry> {
  for await (const entry of entries) {
    if (signal.aborted) return;
    yield entry;
  }
}

/** What the session was configured with, as far as a model depends on it. */
function profileOf({ profile, model }: RecordingHead, overrides: Partial<Profile>): Profile {
  const { model: directory, weights, seed, temperature, persona } = profile;
  const recorded = { model: directory, weights, seed, temperature, persona, backend: model.backend };
  const given = Object.entries({ ...recorded, ...overrides }).filter(([, value]) => value !== undefined);
  return parseProfile(Object.fromEntries(given), "recording");
}

/** @throws RuntimeError "invalid-checkpoint" naming the files that differ. */
function expectSameCheckpoint({ checkpoint, model }: RecordingHead, found: ModelLock[string]): void {
  const names = [...new Set([...Object.keys(checkpoint), ...Object.keys(found)])].sort();
  const faults = names.flatMap((name) => {
    const [then, now] = [checkpoint[name]?.sha256, found[name]?.sha256];
    const short = (digest: string | undefined) => digest?.slice(0, 12) ?? "absent";
    return then === now ? [] : [`${name} is ${short(now)}, was ${short(then)}`];
  });
  if (faults.length === 0) return;
  throw new RuntimeError("invalid-checkpoint", {
    part: "replay",
    problem: `this is not the checkpoint of ${model.model} that was recorded (SHA-256: ${faults.join("; ")})`,
    remedy: "Name the folder of the one that was with --model",
  });
}

/** '[17, 4, 1] " 1"' */
function outputText({ tokens, parts }: RecordedOutput | MicroTurnOutput): string {
  const words = parts.map((part) => ("text" in part ? part.text : `<${part.kind}>`)).join("");
  return `[${tokens.join(", ")}] ${words === "" ? "nothing" : JSON.stringify(words)}`;
}

function tellResult(io: Io, { tear }: Recording, result: ReplayResult, diff: boolean): void {
  const { steps, microTurns, difference } = result;
  if (tear !== null) io.out(`the recording is cut short: ${tear.path} ${tear.problem}\n`);
  const same = `${microTurns} micro-turns in ${steps} steps: the same tokens and words`;
  if (difference === null) {
    io.out(`${same}\n`);
    return;
  }
  io.out(`${same}, then micro-turn ${difference.recorded.output.index} differs\n`);
  if (diff)
    io.out(
      differenceLines(difference)
        .map((line) => `${line}\n`)
        .join(""),
    );
  else io.out("--diff shows how\n");
}

function differenceLines({ recorded, replayed }: Difference): string[] {
  const { inputs, savings } = recorded;
  const taken = inputs.map(({ index, audio, frames, events }) => {
    const heard = audio === null ? "no sound" : `${audio.length} samples`;
    const told = events.map((event) => event.kind).join(", ");
    return `    micro-turn ${index}: ${heard}, ${frames.length} pictures${told === "" ? "" : `, ${told}`}`;
  });
  return [
    "  taken in:",
    ...taken,
    ...(savings.length > 0 ? [`  savings: ${savings.join(", ")}`] : []),
    `  recorded: ${outputText(recorded.output)}`,
    `  replayed: ${outputText(replayed)}`,
  ];
}

/** The last line of `--json`. */
function resultJson({ tear }: Recording, result: ReplayResult, microTurnMs: number): string {
  const { steps, microTurns, difference } = result;
  return JSON.stringify({
    tMs: microTurns * microTurnMs,
    microTurn: microTurns,
    kind: "replay",
    identical: difference === null,
    steps,
    microTurns,
    cutShort: tear === null ? null : `${tear.path} ${tear.problem}`,
    difference: difference && {
      microTurn: difference.recorded.output.index,
      recorded: difference.recorded.output,
      replayed: { ...difference.replayed, parts: difference.replayed.parts.map(recordedPart) },
    },
  });
}
