import { RuntimeError } from "../core/errors.ts";
import type { Command } from "./command.ts";
import { CONFIG_COMMANDS } from "./commands/config.ts";
import { MACHINE_COMMANDS } from "./commands/machine.ts";
import { MEASURE_COMMANDS } from "./commands/measure.ts";
import { MODEL_COMMANDS } from "./commands/models.ts";
import { SERVICE_COMMANDS } from "./commands/service.ts";
import { SESSION_COMMANDS } from "./commands/session.ts";

/**
 * Every command. Their modules are loaded when they run: `--help` answers at once, and `doctor` can say which
 * package does not load.
 */
export const COMMANDS: readonly Command[] = [
  ...SESSION_COMMANDS,
  ...MEASURE_COMMANDS,
  ...SERVICE_COMMANDS,
  ...MACHINE_COMMANDS,
  ...MODEL_COMMANDS,
  ...CONFIG_COMMANDS,
];

/**
 * The command that the first words name, and what follows them.
 * @throws RuntimeError "invalid-argument" if there is none.
 */
export function findCommand(argv: readonly string[]): { command: Command; rest: readonly string[] } {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command) return { command, rest: argv.slice(words) };
  }
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${argv[0]} `)).map(({ name }) => name);
  throw new RuntimeError("invalid-argument", {
    part: "microturn",
    problem: group.length > 0 ? `'${argv[0]}' needs one more word` : `there is no command '${argv[0]}'`,
    remedy: group.length > 0 ? `Say ${group.join(" or ")}` : "See microturn --help",
  });
}
