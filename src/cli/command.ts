import { parseArgs } from "node:util";
import { messageOf, RuntimeError } from "../core/errors.ts";

/** Where a command writes. Tests give their own. */
export interface Io {
  /** Data. */
  out(text: string): void;
  /** Progress, messages for people, and errors. */
  err(text: string): void;
  /** True if stdout is a terminal that a live view may draw on. */
  readonly isTerminal: boolean;
  /** Width of that terminal, in characters. */
  readonly columns: number;
  /** Aborted by Ctrl-C: the session ends in order and says how it went. */
  readonly signal: AbortSignal;
}

export interface OptionSpec {
  type: "string" | "boolean";
  /** What stands for the value in the usage line: "SRC". */
  value?: string;
  /** True if it may be given more than once. */
  multiple?: boolean;
  /** If the value may be left out: what then stands for it, and what the next argument looks like if it is not. */
  optional?: { otherwise: string; looksLike: RegExp };
  help: string;
}

export type OptionValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

export interface Invocation {
  values: OptionValues;
  positionals: readonly string[];
  io: Io;
}

export interface Command {
  /** One or two words: "run", "eval reps". */
  name: string;
  /** What stands for the arguments in the usage line: "[PROFILE.yaml]". */
  positionals: string;
  summary: string;
  options: Readonly<Record<string, OptionSpec>>;
  /** What --help says below the options: environment, an example. */
  details?: string;
  /** Resolves to the exit status. */
  run(invocation: Invocation): Promise<number>;
}

/** "microturn run [PROFILE.yaml] [--camera SRC] ... [--json]" */
export function usageLine(command: Command): string {
  const options = Object.entries(command.options).map(([name, spec]) => {
    const value = spec.value ? ` ${spec.value}` : "";
    return `[--${name}${value}]${spec.multiple ? "..." : ""}`;
  });
  return ["microturn", command.name, command.positionals, ...options].filter((word) => word !== "").join(" ");
}

/** The page of one command. */
export function helpPage(command: Command): string {
  const rows = Object.entries(command.options).map(([name, spec]) => {
    const left = `  --${name}${spec.value ? ` ${spec.value}` : ""}`;
    return `${left.padEnd(28)}  ${spec.help}`;
  });
  const options = rows.length > 0 ? `\nOptions:\n${rows.join("\n")}\n` : "";
  const details = command.details === undefined ? "" : `\n${command.details}`;
  return `${command.summary}\n\nUsage: ${usageLine(command)}\n${options}${details}`;
}

/** @throws RuntimeError "invalid-argument" for an unknown option, one without its value, or too many arguments. */
export function parseInvocation(command: Command, argv: readonly string[], io: Io): Invocation {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, spec]) => [
      name,
      { type: spec.type, multiple: spec.multiple ?? false },
    ]),
  );
  let parsed: { values: OptionValues; positionals: string[] };
  try {
    parsed = parseArgs({ args: withValues(command, argv), options, allowPositionals: true, strict: true });
  } catch (cause) {
    throw usageError(command.name, firstSentence(cause), cause);
  }
  const allowed = command.positionals.split(" ").filter((word) => word !== "").length;
  if (parsed.positionals.length > allowed) {
    throw usageError(command.name, `unexpected argument '${parsed.positionals[allowed]}'`);
  }
  return { ...parsed, io };
}

/** Puts in the values that were left out of options that allow it. */
function withValues(command: Command, argv: readonly string[]): string[] {
  return argv.map((argument, place) => {
    const optional = argument.startsWith("--") ? command.options[argument.slice(2)]?.optional : undefined;
    if (optional === undefined || optional.looksLike.test(argv[place + 1] ?? "")) return argument;
    return `${argument}=${optional.otherwise}`;
  });
}

/** parseArgs explains at length how to escape arguments; its first sentence says what is wrong. */
function firstSentence(cause: unknown): string {
  const text = messageOf(cause);
  const sentence = text.split(/\. |\n/)[0]!.replace(/\.$/, "");
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function usageError(commandName: string, problem: string, cause?: unknown): RuntimeError {
  return new RuntimeError("invalid-argument", {
    part: commandName,
    problem,
    remedy: `See microturn ${commandName} --help`,
    cause,
  });
}

/** The value of a string option, or undefined where it was not given. */
export function stringOption(values: OptionValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

/** Every value of an option that may be given more than once. */
export function stringOptions(values: OptionValues, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** @throws RuntimeError "invalid-argument" unless the value is a number from `min` to `max`. */
export function numberOption(
  values: OptionValues,
  name: string,
  { min, max = Number.MAX_VALUE, integer = false }: { min: number; max?: number; integer?: boolean },
): number | undefined {
  const text = stringOption(values, name);
  if (text === undefined) return undefined;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < min || value > max || (integer && !Number.isInteger(value))) {
    throw new RuntimeError("invalid-argument", {
      part: `--${name}`,
      problem: `'${text}' is not ${integer ? "a whole number" : "a number"} from ${min} ${max === Number.MAX_VALUE ? "up" : `to ${max}`}`,
    });
  }
  return value;
}

/** @throws RuntimeError "invalid-argument" unless the value is one of `choices`. */
export function choiceOption<Choice extends string>(
  values: OptionValues,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const text = stringOption(values, name);
  if (text === undefined) return undefined;
  const choice = choices.find((candidate) => candidate === text);
  if (choice === undefined) {
    throw new RuntimeError("invalid-argument", {
      part: `--${name}`,
      problem: `'${text}' is none of ${choices.join(", ")}`,
    });
  }
  return choice;
}

/** The first argument, which the command cannot do without. */
export function requiredArgument(invocation: Invocation, commandName: string, what: string): string {
  const value = invocation.positionals[0];
  if (value === undefined) throw usageError(commandName, `${what} is missing`);
  return value;
}
