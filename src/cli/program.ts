import { readFileSync } from "node:fs";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { type Command, helpPage, type Io, parseInvocation } from "./command.ts";
import { COMMANDS, commandGroup, findCommand } from "./commands.ts";

const OVERVIEW_HEAD = "microturn: runs interaction models that hear, see and speak in micro-turns of 200 ms.";
const HELP_WORDS: readonly string[] = ["--help", "-h"];

function overview(): string {
  return `${OVERVIEW_HEAD}\n\nUsage: microturn COMMAND [OPTIONS]\n\n${listOf(COMMANDS)}\nmicroturn COMMAND --help says more.\n`;
}

function listOf(commands: readonly Command[]): string {
  return commands.map(({ name, summary }) => `  ${name.padEnd(16)}${summary}\n`).join("");
}

/** The page that `words` ask for: of a command, of a group of them ("models"), or of all. */
function help(words: readonly string[]): string {
  const group = words.length === 1 ? commandGroup(words[0]!) : [];
  if (words.length === 0) return overview();
  if (group.length > 0) return `Usage: microturn ${words[0]} COMMAND [OPTIONS]\n\n${listOf(group)}`;
  return helpPage(findCommand(words).command);
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/**
 * Runs one command.
 * @param argv what follows the program's name.
 * @returns the exit status, after sysexits. Errors are told on `io.err`, never thrown.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    const [first, ...others] = argv;
    if (first === undefined) {
      io.out(overview());
      return EXIT.usage;
    }
    if (first === "--version") {
      io.out(`microturn ${version()}\n`);
      return EXIT.ok;
    }
    if (first === "help" || argv.some((word) => HELP_WORDS.includes(word))) {
      const asked = first === "help" ? others : argv;
      io.out(help(asked.slice(0, 2).filter((word) => !word.startsWith("-"))));
      return EXIT.ok;
    }
    const { command, rest } = findCommand(argv);
    return await command.run(parseInvocation(command, rest, io));
  } catch (error) {
    return report(error, io);
  }
}

/** Tells a person what went wrong; returns the exit status for it. */
export function report(error: unknown, io: Io): number {
  if (error instanceof RuntimeError) {
    io.err(`microturn: ${error.message}\n`);
    return error.exitCode;
  }
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  io.err(`microturn: unexpected fault, please report it:\n${trace}\n`);
  return EXIT.failure;
}
