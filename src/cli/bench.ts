import { EXIT } from "../core/errors.ts";
import { stderrLog } from "../core/log.ts";
import { movingPicture, quietRoom } from "./bench-sources.ts";
import { type Invocation, numberOption } from "./command.ts";
import { type Parts, shippedParts } from "./parts.ts";
import { modelOverrides, profileOf } from "./profile-options.ts";
import { summaryLines } from "./run.ts";
import { runSession } from "./session.ts";

const DEFAULT_SECONDS = 30;

/**
 * `microturn bench`: a session in real time with a moving picture, a quiet room and a reminder every two seconds, so
 * that the model sees, hears and speaks. Nothing sounds.
 */
export async function bench({ values, io }: Invocation, parts: Parts = shippedParts): Promise<number> {
  const duration = numberOption(values, "duration", { min: 1 }) ?? DEFAULT_SECONDS;
  const text = [
    { seconds: 0, text: "count my reps" },
    { seconds: 1, text: "remind me to breathe every 2 seconds" },
  ];
  const profile = profileOf({ ...modelOverrides(values), duration, text, voice: "fake" });
  const model = await parts.loadModel(profile);
  try {
    const { microTurnMs, audioSampleRateHz } = model.perception;
    const durationMs = duration * 1000;
    const microphone = audioSampleRateHz === null ? null : quietRoom(durationMs, audioSampleRateHz);
    const summary = await runSession(
      {
        profile,
        model,
        parts: { ...parts, camera: () => movingPicture(durationMs) },
        log: stderrLog,
        ...(microphone === null ? {} : { microphone }),
      },
      io.signal,
    );
    if (values.json === true) io.out(`${JSON.stringify({ kind: "bench", seconds: duration, ...summary })}\n`);
    else io.out(`${summaryLines(summary, microTurnMs).join("\n")}\n`);
    return EXIT.ok;
  } finally {
    await model.close();
  }
}
