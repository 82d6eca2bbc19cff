import { fileURLToPath } from "node:url";
import { FileCamera } from "../../../devices/camera/file-camera.ts";
import { typedText, voiceFrom } from "../../../devices/devices.ts";
import { FileMicrophone } from "../../../devices/microphone/file-microphone.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import type { Scene } from "../../../src/cli/scene.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { InteractionModel } from "../../../src/core/model.ts";
import type { SessionEvent } from "../../../src/runtime/events.ts";
import { Session } from "../../../src/runtime/session.ts";

export const shipped = fileURLToPath(new URL("../../../models/native/shipped/", import.meta.url));
/** A scene that training has not drawn. */
export const scenePath = fileURLToPath(new URL("../../../deploy/demo/scene.json", import.meta.url));

/** What came of a session. */
export interface Account {
  events: SessionEvent[];
  /** Per step, every token that the model chose. */
  tokens: number[][];
}

/** Runs the scene in virtual time. */
export async function live(model: InteractionModel, scene: Scene, durationMs: number): Promise<Account> {
  const account: Account = { events: [], tokens: [] };
  const clock = new VirtualClock();
  const voice = voiceFrom("fake");
  const session = new Session({
    clock,
    model,
    voice,
    sources: [
      new FileCamera(scene.video!),
      new FileMicrophone(scene.microphone!, model.perception.audioSampleRateHz!),
      typedText(scene.typed.map(({ timeS, text }) => ({ seconds: timeS, text }))),
    ],
    speaker: new NullSpeaker(clock),
    observers: [
      {
        event: (event) => account.events.push(event),
        step: ({ output }) => account.tokens.push([...output.tokens]),
      },
    ],
    durationMs,
  });
  await session.run();
  await voice.close();
  return account;
}
