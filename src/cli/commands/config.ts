import type { Command } from "../command.ts";
import { JSON_OPTION } from "./options.ts";

/** Profiles. */
export const CONFIG_COMMANDS: readonly Command[] = [
  {
    name: "config check",
    positionals: "PROFILE.yaml",
    summary: "Checks a profile.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../config.ts")).configCheck(invocation),
  },
  {
    name: "config print",
    positionals: "[PROFILE.yaml]",
    summary: "Prints a profile with every default filled in.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../config.ts")).configPrint(invocation),
  },
  {
    name: "config schema",
    positionals: "",
    summary: "Prints the JSON Schema of a profile, for editors.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../config.ts")).configSchema(invocation),
  },
];
