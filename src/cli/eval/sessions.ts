import type { Profile } from "../../config/profile.ts";
import type { Played, Source } from "../../core/device.ts";
import type { InteractionModel } from "../../core/model.ts";
import type { SessionSummary } from "../../runtime/events.ts";
import { NotingSpeaker } from "../heard.ts";
import type { Parts } from "../parts.ts";
import { runSession } from "../session.ts";

/** Words and the session time at which their first sample sounded, seconds. */
export interface SpokenText {
  timeS: number;
  text: string;
}

/** What came out of one session. */
export interface Outcome {
  spoken: SpokenText[];
  /** What really sounded, cut where it was cut. */
  played: Played[];
  summary: SessionSummary;
}

/** Runs one session and keeps what it said. */
export async function measureSession(
  setup: { profile: Profile; model: InteractionModel; parts: Parts; microphone?: Source },
  signal: AbortSignal,
): Promise<Outcome> {
  const spoken: SpokenText[] = [];
  const played: Played[] = [];
  const summary = await runSession(
    {
      ...setup,
      observers: [
        {
          event(event) {
            if (event.kind === "speech") spoken.push({ timeS: event.tMs / 1000, text: event.text });
          },
        },
      ],
      wrapSpeaker: (speaker) => new NotingSpeaker(speaker, (heard) => played.push(heard)),
    },
    signal,
  );
  signal.throwIfAborted();
  return { spoken, played, summary };
}

/** Clips are read from files and need no person to listen: as fast as the machine can. */
export const EVAL_DEFAULTS = { clock: "virtual", speaker: "none" } as const satisfies Partial<Profile>;
