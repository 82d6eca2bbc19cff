/**
 * Appends messages to the outbox of a folder, five under way at any time, and prints the number of each as soon as it
 * is promised; kills itself with -9 after so many promises, while others are being written.
 * Arguments: folder, fsync policy, how many messages, bytes of each, how many promises.
 */
import { writeSync } from "node:fs";
import { type FsyncPolicy, Outbox } from "../../../src/reasoner/outbox/outbox.ts";

const [folder, fsync, count, padding, killAfter] = process.argv.slice(2);
const outbox = await Outbox.open({
  folder: folder!,
  fsync: fsync as FsyncPolicy,
  maxBytes: 1_000_000,
  maxAgeMs: 3_600_000,
});
const line = (text: string) => writeSync(1, `${text}\n`);
let next = 0;
let promises = 0;

async function write(): Promise<void> {
  while (next < Number(count)) {
    const number = next++;
    try {
      const id = await outbox.append(Buffer.from(`message ${number} ${"x".repeat(Number(padding))}`));
      // Some are sent at once, so that acknowledgements stand between the messages.
      if (number % 10 === 9) {
        outbox.acknowledge(id);
        continue;
      }
      line(`promised ${number}`);
      if (++promises === Number(killAfter)) process.kill(process.pid, "SIGKILL");
    } catch (fault) {
      line(`refused ${number} ${(fault as { code: string }).code}`);
    }
  }
}

await Promise.all([1, 2, 3, 4, 5].map(write));
line(JSON.stringify(outbox.counts));
await outbox.close();
