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
  const group = commandGroup(argv[0] ?? "").map(({ name }) => name);
  const [problem, remedy] =
    group.length > 0
      ? [`'${argv[0]}' needs one more word`, `Say ${group.slice(0, -1).join(", ")} or ${group.at(-1)}`]
      : [`there is no '${argv[0]}'`, "See microturn --help"];
  throw new RuntimeError("invalid-argument", { part: "command", problem, remedy });
}

/** The commands of two words that begin with `word`. */
export function commandGroup(word: string): readonly Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${word} `));
}
