import { microphoneFrom, speakerFrom } from "../../devices/devices.ts";
import { measureEcho } from "../../devices/echo/echo.ts";
import { devicesSchema } from "../../src/config/devices.ts";
import { RealClock } from "../../src/core/clock.ts";
import { SoundServer } from "../devices/live/sound-server.ts";

/*
 * The start-up self-test over a sound server's echo path: tsx tests/bench/sound-echo.ts [DELAY_MS] [ROUNDS]
 *
 * What the sink "out" plays comes round to the sink "room", whose monitor is the microphone, after DELAY_MS (60) and at
 * half its level. Prints what the self-test measures each time: delay, echo return loss, enhancement by the canceller.
 */

const RATE_HZ = 16_000;
const delayMs = Number(process.argv[2] ?? 60);
const rounds = Number(process.argv[3] ?? 3);
const { microphone, speaker } = devicesSchema.parse({});

const server = new SoundServer();
await server.start();
server.echo({ delayMs, level: 0.5 });
for (let round = 0; round < rounds; round++) {
  const clock = new RealClock();
  const measured = measureEcho(
    {
      microphone: microphoneFrom("pulse:room.monitor", RATE_HZ, microphone)!,
      speaker: speakerFrom("pulse:out", clock, speaker),
      sampleRateHz: RATE_HZ,
      clock,
    },
    new AbortController().signal,
  );
  // A machine that is too busy gives too little sound for a measure, and the next round may do better.
  const report = await measured.catch((fault: Error) => ({ fault: fault.message }));
  console.log(JSON.stringify({ pathMs: delayMs, ...report }));
}
await server.stop();
process.exit(0);
