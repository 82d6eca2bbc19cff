import { expect } from "vitest";
import { CancelledMicrophone } from "../../../devices/echo/cancelled-microphone.ts";
import { ReferenceTrack } from "../../../devices/echo/reference-track.ts";
import { TappedSpeaker } from "../../../devices/echo/tapped-speaker.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { Voice } from "../../../src/core/device.ts";
import { Session } from "../../../src/runtime/session.ts";
import { ScriptedModel, says } from "../../runtime/scripted-model.ts";
import { seededRandom } from "../../timeline/random.ts";
import { babble, powerDb } from "./babble.ts";
import { VirtualRoom } from "./virtual-room.ts";

const RATE_HZ = 16_000;
/** A model that hears more than this in a micro-turn takes it for speech, dBFS: 20 dB below the person. */
const SPEECH_DB = -45;
/** The person speaks for a second in each stretch of this length, s. */
const PERSON_EVERY_S = 20;

/** Phrases of a second, each of its own sound. */
class BabblingVoice implements Voice {
  readonly name = "babbling voice";
  #phrase = 0;

  async synthesize() {
    return { sampleRateHz: RATE_HZ, samples: babble(0.9, 1000 + this.#phrase++) };
  }

  async close(): Promise<void> {}
}

/** In which seconds a model heard speech, while it spoke most of the time beside an open microphone. */
export async function heard(options: { cancelled: boolean; seconds: number }) {
  const clock = new VirtualClock();
  const random = seededRandom(9);
  const reference = new ReferenceTrack(RATE_HZ);
  const person = babble(1, 77);
  const room = new VirtualRoom(clock, {
    sampleRateHz: RATE_HZ,
    delayMs: 60,
    gain: 0.5,
    lengthMs: 1000 * options.seconds,
    person: (n) => {
      const inStretch = n - (PERSON_EVERY_S - 4) * RATE_HZ;
      return (person[inStretch % (PERSON_EVERY_S * RATE_HZ)] ?? 0) + 0.001 * (random() - 0.5);
    },
  });
  const seconds = new Set<number>();
  const model = new ScriptedModel({
    videoFramesPerMicroTurn: null,
    script: (index, inputs) => {
      model.steps.length = 0;
      for (const { audio, startMs } of inputs) {
        if (powerDb(audio!) > SPEECH_DB) seconds.add(Math.floor(startMs / 1000));
      }
      return index % 6 === 0 ? says(" on and on") : [];
    },
  });
  const summary = await new Session({
    clock,
    model,
    sources: [options.cancelled ? new CancelledMicrophone(room.microphone, reference) : room.microphone],
    voice: new BabblingVoice(),
    speaker: options.cancelled ? new TappedSpeaker(room.speaker, reference) : room.speaker,
    durationMs: 1000 * options.seconds,
    log: { write: () => {} },
  }).run();
  const isPersons = (second: number) => {
    const inStretch = second % PERSON_EVERY_S;
    return inStretch >= PERSON_EVERY_S - 4 && inStretch <= PERSON_EVERY_S - 3;
  };
  return {
    summary,
    toItself: [...seconds].filter((second) => !isPersons(second)),
    toPerson: new Set([...seconds].filter(isPersons).map((second) => Math.floor(second / PERSON_EVERY_S)))
      .size,
  };
}

/** Fails if the model ever heard itself, or did not hear the person. */
export async function expectDeafToItself(seconds: number): Promise<void> {
  const { summary, toItself, toPerson } = await heard({ cancelled: true, seconds });
  console.log(JSON.stringify({ seconds, toItself, toPerson, gaps: summary.gaps }));
  expect(summary).toMatchObject({ microTurns: 5 * seconds, late: 0 });
  // Cancelling takes time, but not so much that sound comes too late for its micro-turn.
  expect(summary.gaps.count).toBeLessThanOrEqual(1);
  expect(toItself).toEqual([]);
  expect(toPerson).toBe(seconds / PERSON_EVERY_S);
}
