import { EXIT, RuntimeError } from "../core/errors.ts";
import { helpPage, type Io, parseInvocation } from "./command.ts";
import { COMMANDS, findCommand } from "./commands.ts";

const OVERVIEW_HEAD = "microturn: runs interaction models that hear, see and speak in micro-turns of 200 ms.";

function overview(): string {
  const rows = COMMANDS.map((command) => `  ${command.name.padEnd(16)}${command.summary}`);
  return `${OVERVIEW_HEAD}\n\nUsage: microturn COMMAND [OPTIONS]\n\n${rows.join("\n")}\n\nmicroturn COMMAND --help says more.\n`;
}

/**
 * Runs one command.
 * @param argv what follows the program's name.
 * @returns the exit status, after sysexits. Errors are told on `io.err`, never thrown.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    const first = argv[0];
    if (first === undefined || first === "--help" || first === "-h" || first === "help") {
      io.out(overview());
      return first === undefined ? EXIT.usage : EXIT.ok;
    }
    const { command, rest } = findCommand(argv);
    if (rest.includes("--help") || rest.includes("-h")) {
      io.out(helpPage(command));
      return EXIT.ok;
    }
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
