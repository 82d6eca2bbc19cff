import { PluggedRobot } from "../../devices/serial/plugged-robot.ts";
import { unlessAborted } from "../core/clock.ts";
import { EXIT } from "../core/errors.ts";
import type { Invocation } from "./command.ts";

const DEFAULT_PATH = "/tmp/microturn-board";

/** `microturn board`: a robot that needs no hardware, on a port of its own, until Ctrl-C. */
export async function board({ positionals, values, io }: Invocation): Promise<number> {
  const path = positionals[0] ?? DEFAULT_PATH;
  const json = values.json === true;
  const robot = new PluggedRobot({
    path,
    onMotion: ({ speed, turn, light }) =>
      io.out(
        json
          ? `${JSON.stringify({ speed, turn, light })}\n`
          : `speed ${speed}, turn ${turn}, light ${light}\n`,
      ),
  });
  try {
    io.err(`board: a fake robot at ${path}; in the profile, serial: { port: ${path} }\n`);
    // A pseudo-terminal ends with the session that had opened it: the robot is plugged in again for the next.
    while (!io.signal.aborted) {
      const { gone } = await robot.plug();
      await unlessAborted(gone, io.signal).catch(() => {});
    }
    return EXIT.ok;
  } finally {
    await robot.close();
  }
}
