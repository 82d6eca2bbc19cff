// The thread that owns the GPU on which a voice speaks.
import { parentPort, workerData } from "node:worker_threads";
import { serveCalls } from "../../worker/serve-calls.ts";
import type { SpeechReply } from "../text-to-speech/spoken-text.ts";
import { VoiceEngine, type VoiceEngineOptions } from "./voice-engine.ts";

export type VoiceCalls = {
  step: { given: { text: string; isEnd: boolean }; answer: SpeechReply };
  reset: { given: null; answer: unknown };
};

if (parentPort) {
  await serveCalls<VoiceCalls>(parentPort, async () => {
    const engine = await VoiceEngine.create(workerData as VoiceEngineOptions);
    return {
      ready: null,
      handlers: {
        step: (given) => engine.step(given),
        reset: () => engine.reset(),
        close: () => engine.close(),
      },
    };
  });
}
