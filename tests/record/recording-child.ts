// Run by a test, as a process that can be killed or kept from writing: records random steps to the file that is named,
// one every few milliseconds, says on stdout how many it has given to the recorder, and what became of the recording.
// With a third argument it then stays as it is until it is killed.
import { setTimeout as delay } from "node:timers/promises";
import { RealClock } from "../../src/core/clock.ts";
import { Recorder } from "../../src/record/recorder.ts";
import { RECORDER, randomSteps } from "./random-steps.ts";

const [path, count] = [process.argv[2]!, Number(process.argv[3])];
let stopped: string | null = null;
const recorder = await Recorder.open({
  ...RECORDER,
  path,
  clock: new RealClock(),
  onStop: (fault) => {
    stopped = fault.message;
    process.stdout.write(`stopped: ${stopped}\n`);
  },
});
for (const [i, step] of randomSteps({ count }).entries()) {
  recorder.step(step);
  process.stdout.write(`${i + 1}\n`);
  await delay(20);
}
if (process.argv[4] !== undefined) await delay(3_600_000);
await recorder.close();
process.stdout.write(`closed, ${stopped === null ? "whole" : "stopped"}\n`);
