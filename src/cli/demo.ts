import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EXIT } from "../core/errors.ts";
import { stderrLog } from "../core/log.ts";
import { outputFailed, writeWhole } from "../core/output.ts";
import type { SessionSummary } from "../runtime/events.ts";
import { choiceOption, type Invocation, stringOption } from "./command.ts";
import { scoreScenario } from "./eval/scenario.ts";
import { sceneProfile } from "./eval/scenarios.ts";
import { type Parts, shippedParts } from "./parts.ts";
import { modelOverrides, profileOf } from "./profile-options.ts";
import { webVtt } from "./report/captions.ts";
import { reportPage } from "./report/page.ts";
import { SessionRecord } from "./report/record.ts";
import { drawPicture } from "./report/stave.ts";
import { narrator, summaryLines } from "./run.ts";
import { loadScene, type Scene } from "./scene.ts";
import { runSession } from "./session.ts";

const SPEECH_FILE = "speech.wav";
const SCENE_PATH = fileURLToPath(new URL("../../deploy/demo/scene.json", import.meta.url));

/** What a person wants to know about a scene whose truth is known. */
function findingsOf(truth: Scene["truth"], record: SessionRecord): string[] {
  const spoken = record.played.map(({ text, startMs }) => ({ timeS: startMs / 1000, text }));
  const { reps, due, dueRight, answers, answersRight } = scoreScenario(truth, spoken);
  const cut = record.played.filter(({ whole }) => !whole).length;
  return [
    ...(reps === null ? [] : [`Repetitions: ${reps.truth} done, the last number spoken was ${reps.said}.`]),
    ...(due > 0 ? [`Timed speech: ${dueRight} of ${due} within 0.4 s of the due time.`] : []),
    ...(answers > 0 ? [`Questions: ${answersRight} of ${answers} answered right.`] : []),
    ...(truth.speech.length > 0
      ? [`A person spoke ${truth.speech.length} time(s); speech was broken off ${cut} time(s).`]
      : []),
  ];
}

/** Writes everything but the speech, which the speaker has written; returns every file. */
async function writeResults(
  out: string,
  {
    scene,
    record,
    summary,
    microTurnMs,
  }: { scene: Scene; record: SessionRecord; summary: SessionSummary; microTurnMs: number },
): Promise<string[]> {
  const { truth } = scene;
  const title = scene.title === "" ? "microturn demo" : `microturn demo: ${scene.title}`;
  const findings = findingsOf(truth, record);
  const files = {
    "captions.vtt": webVtt(record.played, record.heard),
    "timeline.svg": drawPicture(record.timeline(microTurnMs, truth)),
    "report.html": reportPage({ title, record, summary, microTurnMs, truth, findings }),
  };
  for (const [name, text] of Object.entries(files)) await writeWhole(join(out, name), text);
  return [SPEECH_FILE, ...Object.keys(files)].map((name) => join(out, name));
}

/** `microturn demo` */
export async function demo(
  invocation: Invocation,
  parts: Parts = shippedParts,
  scenePath = SCENE_PATH,
): Promise<number> {
  const { values, io } = invocation;
  const json = values.json === true;
  const out = stringOption(values, "out") ?? "out/demo";
  const scene = await loadScene(scenePath);
  await mkdir(out, { recursive: true }).catch((cause) => {
    throw outputFailed(out, cause);
  });
  const clock = choiceOption(values, "clock", ["real", "virtual"]) ?? "real";
  const speaker = `file:${join(out, SPEECH_FILE)}`;
  const profile = { ...sceneProfile(scene, profileOf({ ...modelOverrides(values), speaker })), clock };

  const model = await parts.loadModel(profile);
  try {
    const { microTurnMs } = model.perception;
    const record = new SessionRecord();
    if (!json) io.out(`${scene.title}, ${scene.durationS} s\n\n`);
    const observers = [narrator(io, json, model.description, microTurnMs), record];
    const setup = { profile, model, parts, observers, wrapSpeaker: record.listenTo, log: stderrLog };
    const summary = await runSession(setup, io.signal);
    const files = await writeResults(out, { scene, record, summary, microTurnMs });
    const closing = [
      ...findingsOf(scene.truth, record),
      ...summaryLines(summary, microTurnMs),
      `wrote ${files.join(", ")}`,
    ];
    if (!json) io.out(`\n${closing.join("\n")}\n`);
    return EXIT.ok;
  } finally {
    await model.close();
  }
}
